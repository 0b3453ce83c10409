/** What KVM offers on this machine, by its node. */

import { SystemError } from '../abi/errno.js';
import {
  KVM_API_VERSION,
  KVM_CAPABILITIES,
  KVM_CHECK_EXTENSION,
  KVM_GET_API_VERSION,
  KVM_GET_VCPU_MMAP_SIZE,
} from '../abi/kvm.js';
import type { DeviceNode } from '../backend/port/node.js';
import { type Answer, nodeProbe, type Probe } from './probe.js';

export const KVM_PROBES: readonly Probe[] = [nodeProbe('kvm', '/dev/kvm', askKvm)];

/** @throws SystemError EPROTO for a version of the interface that nobody knows. */
async function askKvm(node: DeviceNode): Promise<Answer> {
  const { result: version } = await node.ioctl(KVM_GET_API_VERSION, 0);
  if (version !== KVM_API_VERSION) {
    throw new SystemError('EPROTO', {
      path: node.path,
      message: `KVM's interface is of version ${version}, not ${KVM_API_VERSION}`,
    });
  }
  const { result: vcpuMmapSize } = await node.ioctl(KVM_GET_VCPU_MMAP_SIZE, 0);
  const capabilities = await kvmCapabilities(node);
  const recommended = capabilities.KVM_CAP_NR_VCPUS ?? null;
  const maximum = capabilities.KVM_CAP_MAX_VCPUS ?? recommended;
  const vcpus = maximum === null ? '' : `${maximum} vCPUs (${recommended} recommended), `;
  return {
    version: String(version),
    detail: `API ${version}, ${vcpus}${Object.keys(capabilities).length} capabilities`,
    facts: { recommendedVcpus: recommended, maximumVcpus: maximum, vcpuMmapSize, capabilities },
  };
}

/** The capabilities that are there, with what each answers. */
export async function kvmCapabilities(node: DeviceNode): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const [name, number] of Object.entries(KVM_CAPABILITIES)) {
    const { result } = await node.ioctl(KVM_CHECK_EXTENSION, number);
    if (result > 0) found[name] = result;
  }
  return found;
}
