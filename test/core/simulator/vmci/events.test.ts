/** Events: who is told, in which order, and what is no event. */
import t from 'tap';
import { u32 } from '../../../../src/core/abi/layout.js';
import { VMCI_RESULT } from '../../../../src/core/abi/vmci-errors.js';
import {
  VMCI_EVENT_CTX_REMOVED,
  VMCI_EVENT_MAX,
  VMCI_EVENT_MEM_ACCESS_OFF,
  VMCI_EVENT_MEM_ACCESS_ON,
  VMCI_EVENT_QP_PEER_ATTACH,
  VMCI_EVENTS_FREEBSD,
  vmci_event_payld_qp,
} from '../../../../src/core/abi/vmci-event.js';
import { Subscriptions } from '../../../../src/core/simulator/vmci/events.js';
import { VMCI_PROFILES } from '../../../../src/core/simulator/vmci/profile.js';
import { at, R, testVmci } from '../../../helpers/vmci.js';

const { linux, freebsd } = VMCI_PROFILES;
const PAYLOAD_TOO_LARGE = VMCI_RESULT.VMCI_ERROR_PAYLOAD_TOO_LARGE;

function eventOf(event: number, bytes: number) {
  const payload = new Uint8Array(bytes);
  if (bytes >= u32.size) u32.write(new DataView(payload.buffer), 0, event);
  return { dst: at(2, 0), src: at(0, 0), payload };
}

t.test('ids count from 1, and are given up once', async (t) => {
  const subscriptions = new Subscriptions(linux.guest);
  t.equal(
    subscriptions.subscribe(VMCI_EVENT_CTX_REMOVED, () => undefined),
    1,
  );
  t.equal(
    subscriptions.subscribe(VMCI_EVENT_QP_PEER_ATTACH, () => undefined),
    2,
  );
  t.equal(subscriptions.unsubscribe(1), R.SUCCESS);
  t.equal(subscriptions.unsubscribe(1), R.NOT_FOUND);
  t.equal(
    subscriptions.subscribe(VMCI_EVENT_CTX_REMOVED, () => undefined),
    3,
  );
});

t.test('what nobody can subscribe to', async (t) => {
  const subscriptions = new Subscriptions(linux.guest);
  const events = [VMCI_EVENT_MEM_ACCESS_ON, VMCI_EVENT_MEM_ACCESS_OFF, VMCI_EVENT_MAX, 2 ** 32 - 1];
  for (const event of events) {
    t.equal(
      subscriptions.subscribe(event, () => undefined),
      R.INVALID_ARGS,
    );
    t.equal(subscriptions.dispatch(eventOf(event, 16)), R.EVENT_UNKNOWN);
  }
});

t.test('what is no event', async (t) => {
  const subscriptions = new Subscriptions(linux.guest);
  for (const bytes of [0, 3, 25]) {
    t.equal(subscriptions.dispatch(eventOf(VMCI_EVENT_CTX_REMOVED, bytes)), R.INVALID_ARGS);
  }
  for (const bytes of [4, 24]) {
    t.equal(subscriptions.dispatch(eventOf(VMCI_EVENT_CTX_REMOVED, bytes)), R.SUCCESS);
  }
});

t.test('Linux calls the newest subscriber first, FreeBSD the oldest', async (t) => {
  for (const [profile, wanted] of [
    [linux, ['second', 'first']],
    [freebsd, ['first', 'second']],
  ] as const) {
    const subscriptions = new Subscriptions(profile.guest);
    const called: string[] = [];
    subscriptions.subscribe(VMCI_EVENT_CTX_REMOVED, () => called.push('first'));
    subscriptions.subscribe(VMCI_EVENT_CTX_REMOVED, () => called.push('second'));
    subscriptions.dispatch(eventOf(VMCI_EVENT_CTX_REMOVED, 16));
    t.strictSame(called, wanted);
  }
});

t.test('FreeBSD knows more events', async (t) => {
  const { VMCI_EVENT_GUEST_UNPAUSED, VMCI_EVENT_MAX: max } = VMCI_EVENTS_FREEBSD;
  const subscriptions = new Subscriptions(freebsd.guest);
  t.equal(
    subscriptions.subscribe(VMCI_EVENT_GUEST_UNPAUSED, () => undefined),
    1,
  );
  t.equal(
    subscriptions.subscribe(max, () => undefined),
    R.INVALID_ARGS,
  );
});

t.test('each subscriber gets bytes of its own', async (t) => {
  const subscriptions = new Subscriptions(linux.guest);
  const seen: number[] = [];
  for (let i = 0; i < 2; i++) {
    subscriptions.subscribe(VMCI_EVENT_CTX_REMOVED, (payload) => {
      seen.push(payload[0] ?? -1);
      payload.fill(9);
    });
  }
  subscriptions.dispatch(eventOf(VMCI_EVENT_CTX_REMOVED, 16));
  t.strictSame(seen, [VMCI_EVENT_CTX_REMOVED, VMCI_EVENT_CTX_REMOVED]);
});

t.test('one that gives up while it is called keeps the others from nothing', async (t) => {
  const subscriptions = new Subscriptions(linux.guest);
  let calls = 0;
  const first = subscriptions.subscribe(VMCI_EVENT_CTX_REMOVED, () => calls++);
  subscriptions.subscribe(VMCI_EVENT_CTX_REMOVED, () => {
    calls++;
    subscriptions.unsubscribe(first);
  });
  subscriptions.dispatch(eventOf(VMCI_EVENT_CTX_REMOVED, 16));
  subscriptions.dispatch(eventOf(VMCI_EVENT_CTX_REMOVED, 16));
  t.equal(calls, 3);
});

t.test('events of queue pairs reach a guest, or the subscribers of the host', async (t) => {
  const { host, guest, settle } = testVmci();
  const told: string[] = [];
  const note = (who: string) => (payload: Uint8Array) => {
    const { handle, peer_id } = vmci_event_payld_qp.decode(payload.subarray(8));
    told.push(`${who} ${handle.context}:${handle.resource} ${peer_id} of ${payload.length}`);
  };
  host.subscribe(VMCI_EVENT_QP_PEER_ATTACH, note('host'));
  guest(33).driver.subscribe(VMCI_EVENT_QP_PEER_ATTACH, note('guest'));
  host.contexts.queuePairEvent(2, VMCI_EVENT_QP_PEER_ATTACH, at(33, 5), 33);
  host.contexts.queuePairEvent(33, VMCI_EVENT_QP_PEER_ATTACH, at(33, 5), 2);
  settle();
  t.strictSame(told, ['host 33:5 33 of 24', 'guest 33:5 2 of 24']);
});

t.test('FreeBSD refuses a payload over the limit also when it is delivered', async (t) => {
  for (const [profile, result] of [
    ['linux', R.NO_HANDLE],
    ['freebsd', PAYLOAD_TOO_LARGE],
  ] as const) {
    const { driver } = testVmci(profile).guest(33);
    const huge = { dst: at(33, 1), src: at(2, 1), payload: new Uint8Array(69609) };
    t.equal(driver.datagram(huge), result, profile);
  }
});
