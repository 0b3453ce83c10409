/** All cases, and how they are put to a backend. */
import { type ConnectOptions, connectBackend } from '../../src/core/backend/connect.js';
import type { Case } from './case.js';
import { BINDING } from './cases/binding.js';
import { CLOSING } from './cases/closing.js';
import { CONNECTING } from './cases/connecting.js';
import { DATA } from './cases/data.js';
import { INTERRUPTING } from './cases/interrupting.js';
import { LISTENING } from './cases/listening.js';
import { LISTING } from './cases/listing.js';
import { MANY } from './cases/many.js';
import { OPTIONS } from './cases/options.js';
import { SEQPACKET } from './cases/seqpacket.js';

/** In the order in which they run. */
export const CASES: readonly Case[] = [
  ...BINDING,
  ...CONNECTING,
  ...LISTENING,
  ...OPTIONS,
  ...DATA,
  ...SEQPACKET,
  ...CLOSING,
  ...INTERRUPTING,
  ...LISTING,
  ...MANY,
];

/** About the CIDs of one machine, or (the last) with a backlog that VMCI never fills. */
const NOT_ACROSS: readonly string[] = [
  'connect: to nobody',
  'connect: to CIDs that nobody has',
  'connect: to the CID of the host, on itself',
  'connect: to a listener of one CID',
  'connect: from a port of its own',
  'connect: from a port at CID 1',
  'connect: two connections of one port',
  'connect: to its own address',
  'addresses: of both ends',
  'local CID',
  'listen: accept makes room in a full backlog',
];

/** Those that a VM and its host are asked together; the others are about one machine alone. */
export const ACROSS_CASES: readonly Case[] = [
  ...CONNECTING,
  ...LISTENING,
  ...DATA,
  ...SEQPACKET,
  ...CLOSING,
  ...INTERRUPTING,
  ...MANY,
].filter(({ name }) => !NOT_ACROSS.includes(name));

export interface Observation {
  name: string;
  observation: string;
}

export interface ObserveOptions {
  /** Only the cases whose names contain it. */
  only?: string | undefined;
  /** Told of each observation when it is made. */
  onObservation?: ((observation: Observation) => void) | undefined;
}

/** Who asks: root, who has all capabilities, or a user who has none. */
export type Who = 'root' | 'user';

/** A user that owns nothing: nobody. */
const NOBODY = 65_534;

/** Runs the cases that are for one caller. */
export async function observe(
  uri: string,
  who: Who,
  options: ObserveOptions = {},
): Promise<Observation[]> {
  const { only = '', onObservation } = options;
  const backend = await connectBackend(uri, callerOf(uri, who));
  const machine = backend.machine('host');
  const observations: Observation[] = [];
  for (const { name, unprivileged, run } of CASES) {
    if (unprivileged !== (who === 'user') || !name.includes(only)) continue;
    const observation = { name, observation: await run(machine) };
    observations.push(observation);
    onObservation?.(observation);
  }
  await backend.close();
  return observations;
}

/** A simulated host is told who asks; this machine's kernel knows. */
function callerOf(uri: string, who: Who): ConnectOptions {
  return isSimulated(uri) && who === 'user' ? { caller: { uid: NOBODY, gid: NOBODY } } : {};
}

export function isSimulated(uri: string): boolean {
  return uri === 'sim' || uri.startsWith('sim:');
}
