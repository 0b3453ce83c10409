/** VirtualBox's guest device: the versions of its driver and of its host. */
import { SystemError } from '../abi/errno.js';
import {
  VBG_IOC_VERSION,
  VBG_IOCTL_DRIVER_VERSION_INFO,
  VBG_IOCTL_HDR_TYPE_DEFAULT,
  VBG_IOCTL_HDR_VERSION,
  VMMDEV_HVF,
  vbg_ioctl_driver_version_info_in,
  vbg_ioctl_driver_version_info_out,
} from '../abi/vboxguest.js';
import type { DeviceNode, HostVersion, Machine } from '../backend/port.js';
import { type Answer, listNames, nodeProbe, type Probe, readText } from './probe.js';

/** Has a link to the PCI device, and there the files that tell of the host. */
const DRIVER = '/sys/bus/pci/drivers/vboxguest';

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
  const layout = vbg_ioctl_driver_version_info_out;
  const argument = new Uint8Array(layout.size);
  argument.set(
    vbg_ioctl_driver_version_info_in.encode({
      hdr: {
        size_in: vbg_ioctl_driver_version_info_in.size,
        version: VBG_IOCTL_HDR_VERSION,
        type: VBG_IOCTL_HDR_TYPE_DEFAULT,
        rc: 0,
        size_out: layout.size,
        reserved: 0,
      },
      req_version: VBG_IOC_VERSION,
      min_version: VBG_IOC_VERSION,
    }),
  );
  const { data } = await node.ioctl(VBG_IOCTL_DRIVER_VERSION_INFO, argument);
  const answer = layout.decode(data);
  if (answer.hdr.rc < 0) {
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
