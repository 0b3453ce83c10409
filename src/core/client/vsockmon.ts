/** The network device that shows vsock packets, of Linux' type vsockmon: whether there is one. */
import { SystemError } from '../abi/errno.js';
import { ARPHRD_VSOCKMON } from '../abi/vsockmon.js';
import type { Machine } from '../backend/port.js';
import { type Answer, listNames, type Probe, readText } from './probe.js';

const DEVICES = '/sys/class/net';
/** Bit of a device's flags. Source: linux/if.h. */
const IFF_UP = 1;

export const VSOCKMON_PROBES: readonly Probe[] = [
  { system: 'vsock', name: 'vsockmon', ask: askMonitors },
];

/** Looks, and takes no packets. @throws SystemError ENODEV where there is no such device. */
async function askMonitors(machine: Machine): Promise<Answer> {
  const names = await listNames(machine, DEVICES);
  const types = await Promise.all(names.map((name) => numberOf(machine, name, 'type')));
  const devices = names.filter((_, index) => types[index] === ARPHRD_VSOCKMON).sort();
  if (devices.length === 0) {
    throw new SystemError('ENODEV', { message: 'no network device of the type vsockmon' });
  }
  const flags = await Promise.all(devices.map((name) => numberOf(machine, name, 'flags')));
  const up = devices.filter((_, index) => (flags[index] ?? 0) & IFF_UP);
  const states = devices.map((name) => (up.includes(name) ? `${name} is up` : downText(name)));
  return { detail: states.join('; '), facts: { devices, up } };
}

/** Packets pass a device that is up alone. */
function downText(name: string): string {
  return `${name} is down, see 'ip link set ${name} up'`;
}

async function numberOf(machine: Machine, name: string, file: string): Promise<number> {
  return Number((await readText(machine, `${DEVICES}/${name}/${file}`)) ?? Number.NaN);
}
