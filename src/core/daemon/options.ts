/** How a simulated host is set up: checked, with defaults, and kept beside its state. */
import { readFileSync } from 'node:fs';
import { SystemError } from '../abi/errno.js';
import { VMCI_PROFILES, type VmciProfileName } from '../simulator/vmci/profile.js';
import { VMM_PROFILES, type VmmProfileName } from '../simulator/vmm/config.js';
import {
  defaultPolicy,
  type ProfileName,
  VSOCK_POLICIES,
  VSOCK_PROFILES,
  type VsockPolicy,
} from '../simulator/vsock/profile.js';
import { writeAtomically } from './journal.js';

export interface HostOptions {
  profile: ProfileName;
  /** How /dev/vmmctl behaves. */
  vmmctl: VmmProfileName;
  /** Whose drivers of VMCI there are. */
  vmci: VmciProfileName;
  policy: VsockPolicy;
  /** hw.vmm.maxvmms; 0 is unlimited. */
  maxVms: number;
  /** CPUs of the host: hw.vmm.maxcpu. */
  cpus: number;
  /** How long it stays when nothing is left in it, milliseconds; 0 is for ever. */
  idleMs: number;
  /** For automatic ports and the like; undefined takes another one at each start. */
  seed: number | undefined;
}

const DEFAULT_IDLE_MS = 60_000;
/** Enough for any VM that one wants to simulate. Source: the clamp of hw.vmm.maxcpu, 0xfffe or the CPU set's size. */
const DEFAULT_CPUS = 1024;

/** Completes and checks options. @throws SystemError EINVAL naming the value that makes no sense. */
export function completeOptions(given: Readonly<Record<string, unknown>>): HostOptions {
  const profile = choose(given, 'profile', Object.keys(VSOCK_PROFILES) as ProfileName[]);
  return {
    profile: profile ?? 'linux-6.12',
    vmmctl: choose(given, 'vmmctl', Object.keys(VMM_PROFILES) as VmmProfileName[]) ?? 'landed',
    vmci: choose(given, 'vmci', Object.keys(VMCI_PROFILES) as VmciProfileName[]) ?? 'linux',
    policy: choose(given, 'policy', VSOCK_POLICIES) ?? defaultPolicy(profile ?? 'linux-6.12'),
    maxVms: count(given, 'maxVms') ?? 0,
    cpus: Math.max(1, count(given, 'cpus') ?? DEFAULT_CPUS),
    idleMs: count(given, 'idleMs') ?? DEFAULT_IDLE_MS,
    seed: count(given, 'seed'),
  };
}

function choose<T extends string>(
  given: Readonly<Record<string, unknown>>,
  name: string,
  values: readonly T[],
): T | undefined {
  const value = given[name];
  if (value === undefined || value === null) return undefined;
  const found = values.find((candidate) => candidate === value);
  if (found !== undefined) return found;
  throw new SystemError('EINVAL', {
    message: `${JSON.stringify(value)} is no ${name}; there are ${values.join(', ')}`,
  });
}

function count(given: Readonly<Record<string, unknown>>, name: string): number | undefined {
  const value = given[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 31) {
    return value;
  }
  throw new SystemError('EINVAL', { message: `${name} is a whole number, not ${String(value)}` });
}

/** The options of the last start, as they were given. */
export function readOptions(path: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError)
      return {};
    throw error;
  }
}

export function writeOptions(path: string, given: Readonly<Record<string, unknown>>): void {
  writeAtomically(path, `${JSON.stringify(given)}\n`);
}
