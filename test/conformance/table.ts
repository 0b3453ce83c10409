/** The simulator beside the kernel: a table for people, and what differs without a decision that it may. */
import type { Observation } from './suite.js';

export type LabName = 'user-mode Linux' | 'QEMU';

/** A difference that is meant to be. */
export interface Decision {
  name: string;
  /** Where it shows: there, and only there, it has to. */
  labs: readonly LabName[];
  /** What the kernel gives. */
  linux: string;
  why: string;
}

const BOTH: readonly LabName[] = ['user-mode Linux', 'QEMU'];

const NO_VHOST =
  'the kernel of user-mode Linux has no vhost_vsock, so its CID is 1; a simulated host has VMs, and is CID 2';
const NEVER_FORGETS =
  'the kernel forgets a failed attempt only on sockets that block, and the backend has none; POSIX leaves it open';
const OVERHEAD = 'bytes are not charged with the overhead of a kernel buffer (ARCHITECTURE.md)';

export const DECIDED: readonly Decision[] = [
  {
    name: 'bind: the CIDs of the machine, and others',
    labs: ['user-mode Linux'],
    linux: '0 EADDRNOTAVAIL, 1 ok, 2 EADDRNOTAVAIL, 3 EADDRNOTAVAIL, 4711 EADDRNOTAVAIL',
    why: NO_VHOST,
  },
  { name: 'local CID', labs: ['user-mode Linux'], linux: '1', why: NO_VHOST },
  {
    name: 'connect: again after a refusal',
    labs: BOTH,
    linux: 'ECONNRESET, then EALREADY',
    why: NEVER_FORGETS,
  },
  {
    name: 'listen: after a refused connection',
    labs: BOTH,
    linux: 'ECONNRESET, listen EINVAL, ECONNRESET',
    why: NEVER_FORGETS,
  },
  {
    name: 'data: through a window of 128',
    labs: ['QEMU'],
    linux: '0 other bytes|end',
    why: OVERHEAD,
  },
  {
    name: 'seqpacket: 600 messages before anybody reads',
    labs: ['QEMU'],
    linux: '0 read|end; EPIPE ENOBUFS',
    why: OVERHEAD,
  },
];

/** One case on both. */
export interface Row {
  name: string;
  simulator: string;
  linux: string;
  same: boolean;
}

const MISSING = 'not asked';

/** Every case of either, in the order of the simulator's. */
export function compare(simulator: readonly Observation[], linux: readonly Observation[]): Row[] {
  const mine = byName(simulator);
  const theirs = byName(linux);
  return [...new Set([...mine.keys(), ...theirs.keys()])].map((name) => {
    const row = { simulator: mine.get(name) ?? MISSING, linux: theirs.get(name) ?? MISSING };
    return { name, ...row, same: row.simulator === row.linux && row.linux !== MISSING };
  });
}

function byName(observations: readonly Observation[]): Map<string, string> {
  return new Map(observations.map(({ name, observation }) => [name, observation]));
}

/** A sentence for each difference that is not decided, and for each decided one that is not there. */
export function differences(
  rows: readonly Row[],
  lab: LabName,
  decided: readonly Decision[] = DECIDED,
): string[] {
  const here = decided.filter(({ labs }) => labs.includes(lab));
  const unforeseen = rows
    .filter(({ same }) => !same)
    .filter(({ name, linux }) => !here.some((one) => one.name === name && one.linux === linux))
    .map(({ name, simulator, linux }) => `${name}: simulator '${simulator}', Linux '${linux}'`);
  const idle = here
    .filter(({ name }) => rows.find((row) => row.name === name)?.same !== false)
    .map(({ name }) => `${name}: a difference is decided that is not there`);
  return [...unforeseen, ...idle];
}

/** The table as text. */
export function table(rows: readonly Row[], release: string): string {
  const head = ['case', 'simulator', `Linux loopback (${release})`, 'same'];
  const lines = rows.map(({ name, simulator, linux, same }) => [
    name,
    simulator,
    same ? '' : linux,
    same ? 'yes' : 'no',
  ]);
  const all = [head, ...lines];
  const widths = head.map((_, column) =>
    Math.max(...all.map((line) => (line[column] ?? '').length)),
  );
  const text = (line: readonly string[]) =>
    line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ');
  return all.map((line) => text(line).trimEnd()).join('\n');
}
