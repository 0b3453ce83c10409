/** The sysctls below hw.vmm, among them the older way to create and destroy VMs, and who the kernel is. */
import { SystemError } from '../../abi/errno.js';
import type { Caller } from '../node.js';
import { checkJail, holds } from './access.js';
import { clampMaxCpu, osRelease, type VmmConfig } from './config.js';
import { checkNameLength } from './names.js';
import type { Vm, VmLifetime } from './vm.js';

/** What the sysctls need of the registry of VMs. */
export interface SysctlHost {
  readonly config: VmmConfig;
  /** hw.vmm.maxvmms. */
  maxVms: number;
  create(name: string, lifetime: VmLifetime, caller: Caller): Vm;
  destroyByName(name: string, caller: Caller): void;
}

type Handler = (host: SysctlHost, value: string | undefined, caller: Caller) => string;

const SYSCTLS: ReadonlyMap<string, Handler> = new Map<string, Handler>([
  ['kern.ostype', readOnly(() => 'FreeBSD')],
  ['kern.osrelease', readOnly(({ release }) => osRelease(release))],
  [
    'hw.vmm.create',
    byName((host, name, caller) => {
      if (host.config.sysctlCreateFails) throw new SystemError('EBADF', { syscall: 'sysctl' });
      host.create(name, 'persistent', caller);
    }),
  ],
  ['hw.vmm.destroy', byName((host, name, caller) => host.destroyByName(name, caller))],
  ['hw.vmm.halt_detection', readOnly(({ haltDetection }) => (haltDetection ? '1' : '0'))],
  ['hw.vmm.maxcpu', readOnly(({ maxCpu }) => String(clampMaxCpu(maxCpu)))],
  [
    'hw.vmm.maxvmms',
    (host, value, caller) => {
      if (value !== undefined) {
        // Unlike create and destroy it may not be written in a jail, whatever the jail is allowed.
        if (caller.jail !== '') throw new SystemError('EPERM', { syscall: 'sysctl' });
        checkWrite(caller);
        host.maxVms = unsigned(value);
      }
      return String(host.maxVms);
    },
  ],
]);

/**
 * Reads a sysctl, or writes it when a value is given; gives the value that it has then, which is
 * empty for hw.vmm.create and hw.vmm.destroy.
 * @throws SystemError ENOENT for an unknown name; EPERM for a caller who may not write it, or whose
 * jail lacks allow.vmm; EINVAL for a value that is no number or too long a name; what creating and
 * destroying throw.
 */
export function sysctl(
  host: SysctlHost,
  name: string,
  value: string | undefined,
  caller: Caller,
): string {
  const handler = SYSCTLS.get(name);
  if (handler === undefined) throw new SystemError('ENOENT', { syscall: 'sysctl', path: name });
  return handler(host, value, caller);
}

function readOnly(read: (config: VmmConfig) => string): Handler {
  return (host, value) => {
    if (value === undefined) return read(host.config);
    throw new SystemError('EPERM', { syscall: 'sysctl', message: 'it can only be read' });
  };
}

function byName(act: (host: SysctlHost, name: string, caller: Caller) => void): Handler {
  return (host, value, caller) => {
    if (value !== undefined) checkWrite(caller);
    checkJail(caller, host.config);
    if (value === undefined) return '';
    checkNameLength(value);
    act(host, value.split('\0')[0] ?? '', caller);
    return '';
  };
}

function checkWrite(caller: Caller): void {
  if (holds(caller, 'PRIV_SYSCTL_WRITE')) return;
  throw new SystemError('EPERM', { syscall: 'sysctl', message: 'only root may write it' });
}

function unsigned(value: string): number {
  const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
  if (number >= 0 && number <= 0xffffffff) return number;
  throw new SystemError('EINVAL', { syscall: 'sysctl', message: `${value} is no u_int` });
}
