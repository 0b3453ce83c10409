/** Two guests are asked the same, and have to answer the same. */
import type { Test } from 'tap';
import { SystemError } from '../../src/core/abi/errno.js';
import * as abi from '../../src/core/abi/vboxguest.js';
import { VMMDEV_EVENT_VALID_EVENT_MASK, VMMDEV_REQUEST_TYPE } from '../../src/core/abi/vmmdev.js';
import type { DeviceNode } from '../../src/core/backend/port/node.js';
import { SeededRng } from '../../src/core/simulator/rng.js';
import { argument } from '../core/simulator/vbox/driver/guest.js';
import {
  type CallCase,
  headerCases,
  logCases,
  numberCases,
  requestCases,
  sizeCases,
} from './vboxguest-calls.js';
import type { VboxGuest } from './vboxguest-guests.js';
import { connectCases, hgcmCases } from './vboxguest-hgcm-calls.js';

type Outcome = [title: string, answer: string | undefined];

const { VMMDevReq_HGCMCall32: CALL_32, VMMDevReq_HGCMCall64: CALL_64 } = VMMDEV_REQUEST_TYPE;
const UNEVEN: ReadonlySet<number> = new Set([
  VMMDEV_REQUEST_TYPE.VMMDevReq_AcknowledgeEvents,
  VMMDEV_REQUEST_TYPE.VMMDevReq_GuestHeartbeat,
]);

const SESSIONS = 3;
const STEPS = 150;

/** In this order: the first client of the first group is used by the second. */
const GROUPS: readonly [string, (client: number) => CallCase[]][] = [
  ['clients of services', connectCases],
  ['calls of services', hgcmCases],
  ['sizes', sizeCases],
  ['headers', headerCases],
  ['numbers', numberCases],
  ['requests for VMMDev', requestCases],
  ['log', logCases],
];

/** Each call of each group. */
export async function compareCalls(
  t: Test,
  path: string,
  expected: VboxGuest,
  found: VboxGuest,
): Promise<void> {
  const nodes = await Promise.all([expected.open(path), found.open(path)]);
  let client = 0;
  for (const [name, cases] of GROUPS) {
    await t.test(`${path}: ${name}`, async (t) => {
      const outcomes: [Outcome[], Outcome[]] = [[], []];
      const seen = [expected.requests.length, found.requests.length] as const;
      for (const test of cases(client)) {
        const [one, other] = await Promise.all(nodes.map((node) => outcome(node, test)));
        outcomes[0].push([test.title, one]);
        outcomes[1].push([test.title, other]);
      }
      t.strictSame(outcomes[1], outcomes[0]);
      t.strictSame(asked(found, seen[1]), asked(expected, seen[0]), 'the host is asked the same');
      client ||= clientOf(outcomes[0][0]?.[1] ?? '');
      const successes = outcomes[0].filter(([, answer]) => answer?.startsWith('ok '));
      t.equal(successes.length > 0, name !== 'headers', 'there are right ones, too');
    });
  }
  for (const node of nodes) await node.close();
}

/**
 * Numbers of requests, without those that come when they like. Both kinds of calls of services count as one: a system
 * of 64 bits hands on those of 32 as its own.
 */
function asked({ requests }: VboxGuest, from: number): number[] {
  const types = requests.slice(from).map(({ type }) => type);
  return types
    .filter((type) => !UNEVEN.has(type))
    .map((type) => (type === CALL_32 ? CALL_64 : type));
}

/** The number of the client that a connect has made. */
function clientOf(answer: string): number {
  const bytes = Buffer.from(answer.slice('ok '.length), 'hex');
  return abi.vbg_ioctl_hgcm_connect_out.decode(bytes).client_id;
}

/** What sessions want changes in many ways, and the host sees the same of it. */
export async function compareSessions(
  t: Test,
  expected: VboxGuest,
  found: VboxGuest,
): Promise<void> {
  const guests = [expected, found];
  const sessions = await Promise.all(guests.map(openSessions));
  const rng = new SeededRng(41);
  const traces: [string[], string[]] = [[], []];
  for (let n = 0; n < STEPS; n++) {
    const step = randomStep(rng);
    for (const [index, trace] of traces.entries()) {
      const guest = guests[index];
      const node = sessions[index]?.[step.session];
      if (guest === undefined || node === undefined) continue;
      if ('raise' in step) guest.device.raiseEvents(step.raise);
      const answer = 'raise' in step ? 'raised' : await outcome(node, step.call);
      const { device } = guest;
      const seen = [device.events.filter, device.guest.capabilities].map((word) =>
        word.toString(16),
      );
      trace.push(`${n} session ${step.session}: ${step.title}: ${answer} ${seen}`);
    }
  }
  t.strictSame(traces[1], traces[0]);
  for (const nodes of sessions) for (const node of nodes) await node.close();
  for (const { device } of guests) {
    t.equal(device.events.filter, 0x202, "closed sessions want nothing; the driver's own stay");
    t.equal(device.guest.capabilities, 0);
  }
}

function openSessions(guest: VboxGuest): Promise<DeviceNode[]> {
  return Promise.all(Array.from({ length: SESSIONS }, () => guest.open('/dev/vboxguest')));
}

type Step = { session: number; title: string } & ({ call: CallCase } | { raise: number });

function randomStep(rng: SeededRng): Step {
  const session = rng.below(SESSIONS);
  // Now and then a bit that is none.
  const mask = (bits: number) => rng.below(bits + 1) & (rng.chance(0.9) ? bits : 0xffffffff);
  const events = () => mask(VMMDEV_EVENT_VALID_EVENT_MASK);
  const call = (title: string, request: number, words: number[], sizeOut: number): Step => ({
    session,
    title: `${title} ${words.map((word) => word.toString(16))}`,
    call: { title, request, argument: argument(words, { sizeOut }) },
  });
  switch (rng.below(6)) {
    case 0:
      // Without those that the driver takes for itself, and answers with requests of its own.
      return { session, title: 'raise', raise: events() & VMMDEV_EVENT_VALID_EVENT_MASK & ~0x242 };
    case 1:
      return call('filter', abi.VBG_IOCTL_CHANGE_FILTER_MASK, [events(), events()], 24);
    case 2:
      return call('wait', abi.VBG_IOCTL_WAIT_FOR_EVENTS, [0, events()], 28);
    case 3:
      return call('acquire', abi.VBG_IOCTL_ACQUIRE_GUEST_CAPABILITIES, [0, mask(7), mask(7)], 24);
    case 4:
      return call('acquire mode', abi.VBG_IOCTL_ACQUIRE_GUEST_CAPABILITIES, [mask(1), 1, 0], 24);
    default:
      return call('capabilities', abi.VBG_IOCTL_CHANGE_GUEST_CAPABILITIES, [mask(7), mask(7)], 32);
  }
}

/** The error, or the answer; and what is in memory afterwards. */
async function outcome(node: DeviceNode, test: CallCase): Promise<string> {
  const pointers = (test.pointers ?? []).map(({ at, to }) => ({ at, to: to.slice() }));
  const result = await answer(node, test, pointers);
  return [result, ...pointers.map(({ to }) => hex(to))].join(' ');
}

async function answer(
  node: DeviceNode,
  { request, argument, differs }: CallCase,
  pointers: { at: number; to: Uint8Array }[],
): Promise<string> {
  try {
    const { data } = await node.ioctl(request, argument, { pointers });
    const bytes = argument.slice();
    bytes.set(data.subarray(0, bytes.length));
    for (const { at } of pointers) bytes.fill(0, at, at + 4);
    if (differs) bytes.fill(0, ...differs);
    return `ok ${hex(bytes)}`;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return error.code;
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
