/** A machine's nodes and features as `doctor` shows them: what they answer, whose they are, what would help. */
import { isErrorCode, SystemError } from '../abi/errno.js';
import type { Machine } from '../backend/port.js';
import { groupName, hintFor, type KernelName, type NodeOwner } from './hints.js';
import { type Finding, findOut, type Probe, readText } from './probe.js';

export interface Examined extends Finding {
  /** Null for what is no node, and where the backend doesn't tell. */
  owner: (NodeOwner & { uid: number }) | null;
  /** What a user can do about it; null where nothing is to be done or known to help. */
  hint: string | null;
}

export interface Asker {
  user: string;
  kernel: KernelName | undefined;
}

/** Which system's ways a machine has, by what it answers; undefined for one that says neither. */
export async function kernelOf(machine: Machine): Promise<KernelName | undefined> {
  const name = (await sysctlOf(machine)) ?? (await readText(machine, '/proc/sys/kernel/ostype'));
  if (name === 'FreeBSD') return 'freebsd';
  return name === 'Linux' ? 'linux' : undefined;
}

async function sysctlOf(machine: Machine): Promise<string | undefined> {
  try {
    return await machine.sysctl('kern.ostype');
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

/**
 * Makes the probes.
 * @param asker The user, and the system whose commands the hints name; undefined for none, as on a simulated machine.
 */
export async function examine(
  machine: Machine,
  probes: readonly Probe[],
  asker: Asker,
): Promise<Examined[]> {
  const [findings, groups] = await Promise.all([
    findOut(machine, probes),
    readText(machine, '/etc/group'),
  ]);
  return Promise.all(
    findings.map(async (finding) => {
      const owner = await ownerOf(machine, finding.name, groups ?? '');
      return { ...finding, owner, hint: hintOf(finding, asker, owner) };
    }),
  );
}

function hintOf(
  { name, state, code }: Finding,
  { kernel, user }: Asker,
  owner: Examined['owner'],
): string | null {
  if (state === 'ok' || !isErrorCode(code) || kernel === undefined) return null;
  return hintFor({ name, code, kernel, user, owner: owner ?? undefined }) ?? null;
}

async function ownerOf(machine: Machine, name: string, groups: string): Promise<Examined['owner']> {
  if (!name.startsWith('/dev/') || machine.stat === undefined) return null;
  try {
    const { mode, uid, gid } = await machine.stat(name);
    return { mode, uid, gid, group: groupName(groups, gid) };
  } catch (error) {
    if (error instanceof SystemError) return null;
    throw error;
  }
}
