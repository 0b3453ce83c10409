/**
 * Asking a machine what it offers, one probe a node or feature. A probe that fails says why, and keeps no other from
 * being made; none of them changes what it asks.
 */
import { type ErrorCode, SystemError } from '../abi/errno.js';
import type { DeviceNode, OpenOptions } from '../backend/port/node.js';
import type { Machine } from '../backend/port.js';

/** What answers together, in the order in which it is shown. */
export const PROBED_SYSTEMS = [
  'vsock',
  'vhost',
  'kvm',
  'bhyve',
  'virtualbox',
  'vmci',
  'balloon',
  'cuse',
] as const;
export type ProbedSystem = (typeof PROBED_SYSTEMS)[number];

/**
 * `ok`: it answers. `missing`: it isn't there. `denied`: not for this caller. `busy`: somebody else has it. `silent`:
 * there is something, but it doesn't answer as its interface says. `failed`: any other error.
 */
export type ProbeState = 'ok' | 'missing' | 'denied' | 'busy' | 'silent' | 'failed';

/** A value that an answer has in it, fit for JSON. */
export type Fact = string | number | boolean | null | readonly string[] | { [name: string]: Fact };

export interface Answer {
  /** The version of its interface, where it tells one. */
  version?: string | undefined;
  /** In a few words, for people. */
  detail?: string | undefined;
  /** All that it said, by name. */
  facts?: { readonly [name: string]: Fact } | undefined;
}

export interface Probe {
  readonly system: ProbedSystem;
  /** The path of a node, or the name of what has none. */
  readonly name: string;
  /** @throws what keeps it from answering. */
  ask(machine: Machine): Promise<Answer>;
}

export interface Finding {
  system: ProbedSystem;
  name: string;
  state: ProbeState;
  /** The name of the system's error; null where there is none. */
  code: string | null;
  /** The words of the error. */
  message: string | null;
  version: string | null;
  detail: string | null;
  facts: { readonly [name: string]: Fact };
}

/** How long one probe may take, milliseconds. Nodes answer at once; this is for those that don't. */
export const PROBE_TIMEOUT_MS = 2000;

const STATES: Readonly<Partial<Record<ErrorCode, ProbeState>>> = {
  ENOENT: 'missing',
  ENOTDIR: 'missing',
  ENXIO: 'missing',
  ENODEV: 'missing',
  EAFNOSUPPORT: 'missing',
  ESOCKTNOSUPPORT: 'missing',
  EPROTONOSUPPORT: 'missing',
  EACCES: 'denied',
  EPERM: 'denied',
  EBUSY: 'busy',
  EAGAIN: 'busy',
  EADDRINUSE: 'busy',
  ENOTTY: 'silent',
  EINVAL: 'silent',
  EISDIR: 'silent',
  EPROTO: 'silent',
  ENOSYS: 'silent',
  EOPNOTSUPP: 'silent',
  ETIMEDOUT: 'silent',
};

/** What an error says about the node that it came from. */
export function stateOf(code: string | undefined): ProbeState {
  return STATES[code as ErrorCode] ?? 'failed';
}

/** Asks all at once; the findings are in the order of the probes. */
export function findOut(
  machine: Machine,
  probes: readonly Probe[],
  timeoutMs = PROBE_TIMEOUT_MS,
): Promise<Finding[]> {
  return Promise.all(probes.map((probe) => tryProbe(machine, probe, timeoutMs)));
}

async function tryProbe(machine: Machine, probe: Probe, timeoutMs: number): Promise<Finding> {
  const { system, name } = probe;
  try {
    const { version, detail, facts } = await inTime(probe.ask(machine), timeoutMs);
    return {
      ...{ system, name, state: 'ok', code: null, message: null },
      ...{ version: version ?? null, detail: detail ?? null, facts: facts ?? {} },
    };
  } catch (error) {
    return { system, name, ...failure(error), version: null, detail: null, facts: {} };
  }
}

/** What an error tells, whatever was thrown. */
export function failure(error: unknown): Pick<Finding, 'state' | 'code' | 'message'> {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof SystemError)) return { state: 'failed', code: null, message };
  return { state: stateOf(error.code), code: error.code, message };
}

/** An answer that comes too late counts for nothing. @throws SystemError ETIMEDOUT */
export async function inTime<T>(answer: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new SystemError('ETIMEDOUT', { message: `no answer within ${timeoutMs} ms` }));
    }, timeoutMs);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A probe of a node: opens it, asks, and closes it whatever comes. */
export function nodeProbe(
  system: ProbedSystem,
  path: string,
  ask: (node: DeviceNode) => Promise<Answer>,
  options: OpenOptions = {},
): Probe {
  return {
    system,
    name: path,
    ask: (machine) => withNode(machine, path, ask, options),
  };
}

/** Opens a node for the time of one use. */
export async function withNode<T>(
  machine: Machine,
  path: string,
  use: (node: DeviceNode) => Promise<T>,
  options: OpenOptions = {},
): Promise<T> {
  const node = await machine.open(path, options);
  try {
    return await use(node);
  } finally {
    await node.close();
  }
}

/** The text of a file of the kernel, without the newline at its end; undefined where it can't be read. */
export async function readText(machine: Machine, path: string): Promise<string | undefined> {
  try {
    const text = new TextDecoder().decode(await machine.readFile(path));
    return text.replace(/[\n\0]+$/, '');
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

/** Names in a directory, sorted; none where it can't be read. */
export async function listNames(machine: Machine, path: string): Promise<string[]> {
  try {
    return (await machine.readdir(path)).sort();
  } catch (error) {
    if (error instanceof SystemError) return [];
    throw error;
  }
}
