/** VirtualBox's guest device: its nodes, the versions of its driver and of its host, its balloon. */
import { SystemError } from '../abi/errno.js';
import {
  VBG_IOC_VERSION,
  VBG_IOCTL_CHECK_BALLOON,
  VBG_IOCTL_DRIVER_VERSION_INFO,
  VBG_IOCTL_SIZES,
  VBG_IOCTL_VMMDEV_REQUEST,
  VBG_IOCTL_VMMDEV_REQUEST_BIG,
  vbg_ioctl_check_balloon_out,
  vbg_ioctl_driver_version_info_in,
  vbg_ioctl_driver_version_info_out,
  vbg_ioctl_hdr,
} from '../abi/vboxguest.js';
import { VMMDEV_HVF } from '../abi/vmmdev.js';
import type { DeviceNode } from '../backend/port/node.js';
import type { HostVersion } from '../backend/port/vm.js';
import type { Machine } from '../backend/port.js';
import { isOneOf } from './explain.js';
import { type Answer, listNames, nodeProbe, type Probe, readText } from './probe.js';
import { type VboxAnswer, vboxCall, vboxCallOk } from './vbox-call.js';

/** Has a link to the PCI device, and there the files that tell of the host. */
const DRIVER = '/sys/bus/pci/drivers/vboxguest';
const NODES = ['/dev/vboxguest', '/dev/vboxuser'] as const;
/** Requests of that size, bytes, and larger ones have a number of their own. */
const FIRST_BIG_SIZE = 1024;

export const VBOXGUEST_PROBES: readonly Probe[] = [
  nodeProbe('virtualbox', '/dev/vboxguest', askDriver),
  nodeProbe('virtualbox', '/dev/vboxuser', askDriver),
  { system: 'virtualbox', name: 'host_version', ask: askHost },
];

async function askDriver(node: DeviceNode): Promise<Answer> {
  const { session, driver, revision } = await driverVersion(node);
  return {
    version: version(session),
    detail: `driver ${version(driver)} revision ${revision}`,
    facts: { sessionVersion: version(session), driverVersion: version(driver), revision },
  };
}

/**
 * The version of the interface that both speak, and those of the driver. It changes nothing.
 * @throws SystemError EPROTO when the driver speaks another version than ours.
 */
export async function driverVersion(
  node: DeviceNode,
): Promise<{ session: number; driver: number; revision: number }> {
  const { status, data } = await vboxCall(node, {
    request: VBG_IOCTL_DRIVER_VERSION_INFO,
    argument: vbg_ioctl_driver_version_info_in.encode({
      req_version: VBG_IOC_VERSION,
      min_version: VBG_IOC_VERSION,
    }),
    sizeOut: VBG_IOCTL_SIZES.VBG_IOCTL_DRIVER_VERSION_INFO.out,
  });
  const answer = vbg_ioctl_driver_version_info_out.decode(data);
  if (status < 0) {
    throw new SystemError('EPROTO', {
      path: node.path,
      message: `the driver speaks version ${version(answer.driver_version)}, and not ${version(VBG_IOC_VERSION)}`,
    });
  }
  return {
    session: answer.session_version,
    driver: answer.driver_version,
    revision: answer.driver_revision,
  };
}

/**
 * How many chunks of 1 MiB the balloon holds.
 * @throws SystemError EOPNOTSUPP when the driver leaves the balloon to a program.
 */
export async function checkBalloon(node: DeviceNode): Promise<number> {
  const data = await vboxCallOk(node, {
    request: VBG_IOCTL_CHECK_BALLOON,
    argument: vbg_ioctl_hdr.encode({}),
    sizeOut: VBG_IOCTL_SIZES.VBG_IOCTL_CHECK_BALLOON.out,
  });
  const { balloon_chunks, handle_in_r3 } = vbg_ioctl_check_balloon_out.decode(data);
  if (handle_in_r3 === 0) return balloon_chunks;
  throw new SystemError('EOPNOTSUPP', {
    path: node.path,
    message: 'the driver leaves the balloon to a program',
  });
}

/**
 * Passes a request to the host's device. The host's status is in the answer, which is the request as the host left it.
 * @param request With an empty header.
 * @throws SystemError EPERM for one that programs may not make, E2BIG above 1 MiB.
 */
export async function vmmDevRequest(
  node: DeviceNode,
  type: number,
  request: Uint8Array,
): Promise<VboxAnswer> {
  const number =
    request.length < FIRST_BIG_SIZE
      ? VBG_IOCTL_VMMDEV_REQUEST(request.length)
      : VBG_IOCTL_VMMDEV_REQUEST_BIG;
  return vboxCall(node, { request: number, argument: request, sizeOut: request.length, type });
}

/**
 * Opens the guest's device: the node of those who may do everything, or else the one for all users.
 * @throws SystemError ENODEV where the machine has no such device, EACCES when neither is for the caller.
 */
export async function openVboxGuest(machine: Machine): Promise<DeviceNode> {
  try {
    return await openOneOf(machine, NODES);
  } catch (error) {
    // ENOENT may also be about the machine.
    const isMissing = isOneOf(error, ['ENOENT', 'ENXIO', 'ENODEV']);
    if (!isMissing || (error as SystemError).path !== NODES[0]) throw error;
    throw new SystemError('ENODEV', {
      message: "this machine has no device of VirtualBox's",
      hint: "'vmmctl doctor' says what there is",
      cause: error,
    });
  }
}

async function openOneOf(machine: Machine, paths: readonly string[]): Promise<DeviceNode> {
  const [first = '', ...others] = paths;
  try {
    return await machine.open(first);
  } catch (error) {
    if (others.length === 0 || !isOneOf(error, ['EACCES', 'EPERM'])) throw error;
    return openOneOf(machine, others);
  }
}

async function askHost(machine: Machine): Promise<Answer> {
  const host = await virtualBoxHost(machine);
  if (host === undefined) throw new SystemError('ENOENT', { path: DRIVER });
  const { version, revision, features } = host;
  return {
    version,
    detail: `VirtualBox ${version} revision ${revision}`,
    facts: { version, revision, features },
  };
}

/** The host as its guest's driver shows it in sysfs; undefined where that driver has no device. */
export async function virtualBoxHost(machine: Machine): Promise<HostVersion | undefined> {
  for (const name of await listNames(machine, DRIVER)) {
    const text = await readText(machine, `${DRIVER}/${name}/host_version`);
    if (text === undefined) continue;
    const features = await readText(machine, `${DRIVER}/${name}/host_features`);
    return { product: 'VirtualBox', ...parseHostVersion(text), features: hostFeatures(features) };
  }
  return undefined;
}

/** `6.1.36r152435` */
export function parseHostVersion(text: string): { version: string; revision: string } {
  const [, version = text, revision = ''] = /^(\d+\.\d+\.\d+)r(\d+)$/.exec(text) ?? [];
  return { version, revision };
}

/** The names of the bits in a number as sysfs shows it, `0x8000000f`. */
export function hostFeatures(text: string | undefined): string[] {
  const bits = BigInt(/^0x[0-9a-f]+$|^0$/i.exec(text ?? '')?.[0] ?? 0);
  return Object.entries(VMMDEV_HVF)
    .filter(([, mask]) => bits & BigInt(mask))
    .map(([name]) => name);
}

/** Major in the upper 16 bits, minor in the lower ones. */
function version(number: number): string {
  return `${number >>> 16}.${number & 0xffff}`;
}
