/** The broker of queue pairs, rule by rule. */
import t from 'tap';
import {
  VMCI_INVALID_ID,
  VMCI_PRIVILEGE_FLAG_RESTRICTED,
  VMCI_PRIVILEGE_FLAG_TRUSTED,
  VMCI_VERSION_HOSTQP,
  VMCI_VERSION_NOTIFY,
  VMCI_VERSION_PREHOSTQP,
} from '../../../../src/core/abi/vmci.js';
import { VMCI_RESULT as R } from '../../../../src/core/abi/vmci-errors.js';
import {
  VMCI_EVENT_QP_PEER_ATTACH,
  VMCI_EVENT_QP_PEER_DETACH,
} from '../../../../src/core/abi/vmci-event.js';
import { queuePairBytes } from '../../../../src/core/abi/vmci-queue.js';
import * as q from '../../../../src/core/abi/vmci-queue-pair.js';
import { STATES } from '../../../../src/core/simulator/vmci/queue-pairs-states.js';
import { makeContext, TestBroker, TestStore } from '../../../helpers/queue-pairs.js';

const HANDLE = { context: 7, resource: 100 };
const MIB = 2 ** 20;

t.test('what is asked of every allocation', async (t) => {
  const { NO_RESOURCES, INVALID_ARGS } = {
    NO_RESOURCES: R.VMCI_ERROR_NO_RESOURCES,
    INVALID_ARGS: R.VMCI_ERROR_INVALID_ARGS,
  };
  const cases = [
    ['more than 128 MiB', { produceSize: 128 * MIB, consumeSize: 1 }, NO_RESOURCES],
    ['more than any memory', { produceSize: 2 ** 63, consumeSize: 2 ** 63 }, NO_RESOURCES],
    ['the size comes before the flags', { produceSize: 2 ** 40, flags: 0x10 }, NO_RESOURCES],
    [
      'no handle',
      { handle: { context: VMCI_INVALID_ID, resource: VMCI_INVALID_ID } },
      INVALID_ARGS,
    ],
    ['a handle of no context', { handle: { context: VMCI_INVALID_ID, resource: 5 } }, INVALID_ARGS],
    ['an unknown flag', { flags: 0x10 }, INVALID_ARGS],
    ['LOCAL', { flags: q.VMCI_QPFLAG_LOCAL }, INVALID_ARGS],
    ['no bytes at all', { produceSize: 0, consumeSize: 0 }, INVALID_ARGS],
    ['one page', { store: new TestStore(1) }, INVALID_ARGS],
  ] as const;
  for (const [name, change, result] of cases) {
    const broker = new TestBroker();
    t.equal(broker.result(broker.guest, change), result, name);
    t.strictSame(broker.pairs.records(), [], 'nothing was made');
  }
});

t.test('what is taken', async (t) => {
  const cases = [
    ['exactly 128 MiB', { produceSize: 64 * MIB, consumeSize: 64 * MIB }],
    ['one way only', { consumeSize: 0 }],
    ['NONBLOCK and PINNED', { flags: q.VMCI_QPFLAG_NONBLOCK | q.VMCI_QPFLAG_PINNED }],
    ['fewer pages than the sizes say', { store: new TestStore(2) }],
    ['peer host', { peer: 2 }],
    ['a resource that is chosen', { handle: { context: 7, resource: VMCI_INVALID_ID } }],
  ] as const;
  for (const [name, change] of cases) {
    const broker = new TestBroker();
    t.equal(broker.result(broker.guest, change), 0, name);
  }
});

t.test('who may create', async (t) => {
  const broker = new TestBroker();
  const { guest } = broker;
  const create = (change: object) => broker.result(guest, change);
  t.equal(create({ flags: q.VMCI_QPFLAG_ATTACH_ONLY }), R.VMCI_ERROR_NOT_FOUND);
  const foreign = { handle: { context: 9, resource: 1 } };
  t.equal(create({ ...foreign, peer: 2 }), R.VMCI_ERROR_NO_ACCESS);
  t.equal(create({ ...foreign, peer: 9 }), R.VMCI_ERROR_DST_UNREACHABLE, 'VM to VM');
  t.equal(create({ peer: 9 }), R.VMCI_ERROR_DST_UNREACHABLE);
  t.equal(create({ store: new TestStore(16, false) }), R.VMCI_ERROR_NO_MEM);
  t.equal(create({}), 0);
  t.equal(create({}), R.VMCI_ERROR_ALREADY_EXISTS, 'once more');
  t.equal(broker.result(broker.host, { handle: { context: 7, resource: 3 }, peer: 7 }), 0);
});

t.test('a pair has memory if its creator has brought some', async (t) => {
  const broker = new TestBroker();
  const store = new TestStore();
  const entry = broker.made(broker.guest, { store });
  t.equal(entry.state, q.VMCIQPB_CREATED_MEM);
  t.equal(entry.memory, store.taken);
  t.equal(store.taken?.length, queuePairBytes({ produceSize: 8192, consumeSize: 4096 }));
  const own = broker.made(broker.host, { handle: { context: 2, resource: 1 } });
  t.equal(own.state, q.VMCIQPB_CREATED_NO_MEM);
  t.strictSame([own.produceSize, own.consumeSize], [8192, 4096], 'as its guest will name them');
});

t.test('the host attaches to a guest, who is told', async (t) => {
  const broker = new TestBroker();
  const entry = broker.made(broker.guest);
  t.equal(broker.made(broker.host), entry);
  t.equal(entry.state, q.VMCIQPB_ATTACHED_MEM);
  t.strictSame([entry.creator, entry.attacher], [7, 2]);
  const event = { to: 7, event: VMCI_EVENT_QP_PEER_ATTACH, handle: HANDLE, peer: 2 };
  t.strictSame(broker.events, [event]);
});

t.test('a guest attaches to the host, and brings the memory', async (t) => {
  const broker = new TestBroker();
  const entry = broker.made(broker.host, { handle: { context: 2, resource: 1024 } });
  const store = new TestStore();
  t.equal(broker.result(broker.guest, { handle: entry.handle, store }), 0);
  t.equal(entry.memory, store.taken);
  t.equal(entry.state, q.VMCIQPB_ATTACHED_MEM);
  t.match(broker.events, [{ to: 2, event: VMCI_EVENT_QP_PEER_ATTACH, peer: 7 }]);
});

t.test('what is asked of whoever attaches', async (t) => {
  const { MISMATCH, NO_ACCESS } = {
    MISMATCH: R.VMCI_ERROR_QUEUEPAIR_MISMATCH,
    NO_ACCESS: R.VMCI_ERROR_NO_ACCESS,
  };
  const restricted = VMCI_PRIVILEGE_FLAG_RESTRICTED;
  const trusted = VMCI_PRIVILEGE_FLAG_TRUSTED;
  const cases = [
    ['sizes of the guest not crossed', {}, {}, { produceSize: 8192, consumeSize: 4096 }, MISMATCH],
    ['another flag', {}, {}, { flags: q.VMCI_QP_ALL_FLAGS & ~q.VMCI_QPFLAG_LOCAL }, 0],
    ['for somebody else', { peer: 1 }, {}, {}, NO_ACCESS],
    ['a restricted creator, and no trust', {}, { privileges: restricted }, {}, NO_ACCESS],
    ['a restricted creator', {}, { privileges: restricted }, { privileges: trusted }, 0],
    [
      'too old for host queue pairs',
      {},
      { version: VMCI_VERSION_PREHOSTQP },
      {},
      R.VMCI_ERROR_INVALID_RESOURCE,
    ],
    ['old enough', {}, { version: VMCI_VERSION_HOSTQP }, {}, 0],
  ] as const;
  for (const [name, creation, creator, attach, result] of cases) {
    const broker = new TestBroker();
    Object.assign(broker.guest, creator);
    broker.made(broker.guest, creation);
    t.equal(broker.result(broker.host, attach), result, name);
    if (result < 0) t.strictSame(broker.events, [], 'nobody is told');
  }
});

t.test('a restricted guest attaches to a trusted host alone', async (t) => {
  for (const [privileges, result] of [
    [0, R.VMCI_ERROR_NO_ACCESS],
    [VMCI_PRIVILEGE_FLAG_TRUSTED, 0],
  ] as const) {
    const broker = new TestBroker();
    Object.assign(broker.guest, { privileges: VMCI_PRIVILEGE_FLAG_RESTRICTED });
    const handle = { context: 2, resource: 1 };
    broker.made(broker.host, { handle, privileges });
    t.equal(broker.result(broker.guest, { handle }), result);
  }
});

t.test('attaching of the wrong one', async (t) => {
  const other = makeContext(9);
  const broker = new TestBroker(other);
  broker.made(broker.guest);
  t.equal(broker.result(broker.guest), R.VMCI_ERROR_ALREADY_EXISTS, 'its creator');
  t.equal(broker.result(other), R.VMCI_ERROR_DST_UNREACHABLE, 'another VM');
  broker.made(broker.host);
  t.equal(broker.result(other), R.VMCI_ERROR_UNAVAILABLE, 'there are two already');
  const handle = { context: 2, resource: 1 };
  const old = makeContext(10, { version: VMCI_VERSION_PREHOSTQP });
  broker.made(broker.host, { handle });
  t.equal(broker.result(old, { handle }), R.VMCI_ERROR_INVALID_RESOURCE, 'a guest too old');
  const wrong = { handle, produceSize: 4096, consumeSize: 8192 };
  t.equal(
    broker.result(other, wrong),
    R.VMCI_ERROR_QUEUEPAIR_MISMATCH,
    'sizes of a guest are not crossed',
  );
  const unpinnable = { handle, store: new TestStore(16, false) };
  t.equal(broker.result(other, unpinnable), R.VMCI_ERROR_NO_MEM);
  t.equal(broker.result(other, { handle, flags: q.VMCI_QPFLAG_ATTACH_ONLY }), 0);
});

t.test('the host can not attach before there is memory', async (t) => {
  const broker = new TestBroker();
  broker.made(broker.guest, { store: undefined });
  t.equal(broker.result(broker.host), R.VMCI_ERROR_UNAVAILABLE);
});

t.test('states lead where the table says', async (t) => {
  const { VMCIQPB_CREATED_MEM: CM, VMCIQPB_CREATED_NO_MEM: C, VMCIQPB_GONE: GONE } = q;
  const { VMCIQPB_ATTACHED_MEM: AM, VMCIQPB_ATTACHED_NO_MEM: A } = q;
  const { VMCIQPB_SHUTDOWN_MEM: SM, VMCIQPB_SHUTDOWN_NO_MEM: S } = q;
  const rows = [
    [C, C, CM, GONE, GONE],
    [CM, C, CM, GONE, GONE],
    [A, A, AM, S, S],
    [AM, A, AM, S, SM],
    [S, S, SM, GONE, GONE],
    [SM, S, SM, GONE, GONE],
  ] as const;
  for (const [state, unmapped, mapped, guestLeft, hostLeft] of rows) {
    t.match(STATES[state], { unmapped, mapped, guestLeft, hostLeft }, q.pairStateName(state));
  }
});

t.test('the first to detach tells the other, the second ends the pair', async (t) => {
  for (const [first, second, state] of [
    ['guest', 'host', q.VMCIQPB_SHUTDOWN_NO_MEM],
    ['host', 'guest', q.VMCIQPB_SHUTDOWN_MEM],
  ] as const) {
    const broker = new TestBroker();
    const entry = broker.made(broker.guest);
    broker.made(broker.host);
    broker.events.length = 0;
    t.equal(broker.pairs.detach(broker[first], HANDLE), 0);
    t.equal(entry.state, state, `${first} first`);
    t.match(broker.events, [
      { to: broker[second].cid, event: VMCI_EVENT_QP_PEER_DETACH, peer: broker[first].cid },
    ]);
    t.equal(broker.pairs.detach(broker[first], HANDLE), R.VMCI_ERROR_NOT_FOUND, 'again');
    t.equal(broker.result(broker[first]), R.VMCI_ERROR_UNAVAILABLE, 'it can not come back');
    t.equal(broker.pairs.detach(broker[second], HANDLE), 0);
    t.equal(broker.events.length, 1, 'nobody is left to be told');
    t.strictSame(broker.pairs.records(), []);
    t.equal(broker.handles.taken.size, 0);
    t.equal(broker.result(broker.guest), 0, 'the handle is free again');
  }
});

t.test('detaching what is not there', async (t) => {
  const broker = new TestBroker();
  t.equal(broker.pairs.detach(broker.guest, HANDLE), R.VMCI_ERROR_NOT_FOUND);
  broker.made(broker.guest);
  t.equal(broker.pairs.detach(broker.host, HANDLE), R.VMCI_ERROR_NOT_FOUND);
  broker.host.queuePairs.add('7:100');
  t.equal(broker.pairs.detach(broker.host, HANDLE), R.VMCI_ERROR_QUEUEPAIR_NOTATTACHED);
});

t.test('unmapping takes the memory away, mapping brings it back, and twice is once', async (t) => {
  const broker = new TestBroker();
  const entry = broker.made(broker.guest);
  let waked = 0;
  broker.made(broker.host, { wakeup: () => waked++ });
  const { pairs, guest } = broker;
  for (let round = 0; round < 2; round++) {
    t.equal(pairs.unmap(guest, HANDLE), 0);
    t.equal(entry.state, q.VMCIQPB_ATTACHED_NO_MEM);
    t.equal(entry.memory, undefined);
    t.ok(entry.saved, 'the headers are kept');
  }
  for (let round = 0; round < 2; round++) {
    const store = new TestStore();
    t.equal(pairs.map(guest, HANDLE, store), 0);
    t.equal(entry.state, q.VMCIQPB_ATTACHED_MEM);
    t.equal(entry.memory === store.taken, round === 0, 'memory is taken once');
    t.equal(waked, 1, 'who waited for it goes on');
  }
  t.equal(pairs.unmap(broker.host, HANDLE), 0);
  t.equal(entry.state, q.VMCIQPB_ATTACHED_MEM, "it is not the host's to unmap");
});

t.test('mapping and unmapping what is not there', async (t) => {
  const { pairs, guest } = new TestBroker();
  t.equal(pairs.unmap(guest, HANDLE), R.VMCI_ERROR_NOT_FOUND);
  t.equal(pairs.map(guest, HANDLE, new TestStore()), R.VMCI_ERROR_NOT_FOUND);
  const broker = new TestBroker();
  broker.made(broker.guest);
  broker.pairs.unmap(broker.guest, HANDLE);
  const unpinnable = new TestStore(16, false);
  t.equal(broker.pairs.map(broker.guest, HANDLE, unpinnable), R.VMCI_ERROR_NO_MEM);
});

t.test('who waits for unmapped memory is waked when the guest leaves', async (t) => {
  const broker = new TestBroker();
  broker.made(broker.guest);
  let waked = 0;
  broker.made(broker.host, { wakeup: () => waked++ });
  broker.pairs.unmap(broker.guest, HANDLE);
  broker.pairs.detach(broker.guest, HANDLE);
  t.equal(waked, 1);
});

t.test('old contexts bring the memory afterwards', async (t) => {
  const broker = new TestBroker();
  Object.assign(broker.guest, { version: VMCI_VERSION_NOTIFY });
  const { pairs, guest } = broker;
  const stores = () => ({ produce: new TestStore(), consume: new TestStore() });
  t.equal(pairs.setPageStore(guest, HANDLE, stores()), R.VMCI_ERROR_NOT_FOUND);
  const entry = broker.made(guest, { store: undefined });
  const half = { ...stores(), consume: undefined };
  t.equal(pairs.setPageStore(guest, HANDLE, half), R.VMCI_ERROR_INVALID_ARGS);
  const bad = { ...stores(), consume: new TestStore(16, false) };
  t.equal(pairs.setPageStore(guest, HANDLE, bad), R.VMCI_ERROR_NO_MEM);
  t.equal(pairs.setPageStore(guest, HANDLE, stores()), 0);
  t.equal(entry.state, q.VMCIQPB_CREATED_MEM);
  t.equal(entry.memory?.length, queuePairBytes(entry));
  t.equal(pairs.setPageStore(guest, HANDLE, stores()), R.VMCI_ERROR_UNAVAILABLE, 'once');
  broker.host.queuePairs.add('7:100');
  t.equal(pairs.setPageStore(broker.host, HANDLE, stores()), R.VMCI_ERROR_QUEUEPAIR_NOTOWNER);
});

t.test('an old guest that attached is there when it brings the memory', async (t) => {
  const broker = new TestBroker();
  const handle = { context: 2, resource: 1 };
  const entry = broker.made(broker.host, { handle });
  broker.made(broker.guest, { handle, store: undefined });
  t.equal(entry.state, q.VMCIQPB_ATTACHED_NO_MEM);
  t.strictSame(broker.events, []);
  const stores = { produce: new TestStore(), consume: new TestStore() };
  t.equal(broker.pairs.setPageStore(broker.guest, handle, stores), 0);
  t.match(broker.events, [{ to: 2, event: VMCI_EVENT_QP_PEER_ATTACH, peer: 7 }]);
});

t.test('a context that is gone leaves all its pairs', async (t) => {
  const broker = new TestBroker();
  for (let resource = 100; resource < 110; resource++) {
    const handle = { context: 7, resource };
    broker.made(broker.guest, { handle });
    if (resource % 2 === 0) broker.made(broker.host, { handle });
  }
  broker.events.length = 0;
  broker.pairs.contextGone(broker.guest);
  t.equal(broker.guest.queuePairs.size, 0);
  t.equal(broker.pairs.records().length, 5, 'those of the host too');
  t.equal(broker.events.length, 5);
  broker.pairs.contextGone(broker.host);
  t.strictSame(broker.pairs.records(), []);
  t.equal(broker.handles.taken.size, 0);
});

t.test('a context has 16384 pairs at most', async (t) => {
  const broker = new TestBroker();
  const small = { produceSize: 1, consumeSize: 0, store: undefined };
  for (let resource = 0; resource < q.VMCI_MAX_GUEST_QP_COUNT_4K_PAGES; resource++) {
    broker.made(broker.guest, { ...small, handle: { context: 7, resource } });
  }
  const handle = { context: 7, resource: 20_000 };
  t.equal(broker.result(broker.guest, { ...small, handle }), R.VMCI_ERROR_NO_RESOURCES);
});

t.test('a handle that something else has is not given', async (t) => {
  const broker = new TestBroker();
  broker.handles.add(HANDLE);
  t.equal(broker.result(broker.guest), R.VMCI_ERROR_ALREADY_EXISTS);
  t.equal(broker.guest.queuePairs.size, 0);
});

t.test('records tell of all pairs, or of those of one context', async (t) => {
  const broker = new TestBroker(makeContext(9));
  broker.made(broker.guest, { peer: 2 });
  broker.made(broker.host, { handle: { context: 2, resource: 1 } });
  t.match(broker.pairs.records(7), [
    { handle: HANDLE, state: q.VMCIQPB_CREATED_MEM, creator: 7, attacher: undefined, peer: 2 },
  ]);
  t.equal(broker.pairs.records().length, 2);
  t.equal(broker.pairs.records(9).length, 0);
});
