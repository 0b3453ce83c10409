/** Queue pairs in kernels: the host's end, a guest's end, and pairs within one kernel. */
import t from 'tap';
import { VMCI_INVALID_ID } from '../../../../src/core/abi/vmci.js';
import { VMCI_RESULT as R } from '../../../../src/core/abi/vmci-errors.js';
import {
  VMCI_EVENT_QP_PEER_ATTACH,
  VMCI_EVENT_QP_PEER_DETACH,
} from '../../../../src/core/abi/vmci-event.js';
import { vmci_queue_header } from '../../../../src/core/abi/vmci-queue.js';
import * as q from '../../../../src/core/abi/vmci-queue-pair.js';
import type {
  KernelQueuePair,
  QueuePairRequest,
} from '../../../../src/core/simulator/vmci/parts.js';
import {
  BrokerDevice,
  GuestQueuePairs,
} from '../../../../src/core/simulator/vmci/queue-pairs-guest.js';
import { HostQueuePairs } from '../../../../src/core/simulator/vmci/queue-pairs-host.js';
import { TestBroker, TestHandles } from '../../../helpers/queue-pairs.js';

const MIB = 2 ** 20;

/** A host and a guest of context 7. */
function twoKernels() {
  const broker = new TestBroker();
  const local: { event: number; peer: number }[] = [];
  const parts = (cid: number, handles: TestHandles) => ({
    cid: () => cid,
    handles,
    event: (event: number, _handle: unknown, peer: number) => local.push({ event, peer }),
  });
  const device = new BrokerDevice(broker.pairs, () => broker.guest);
  const guestHandles = new TestHandles();
  const guest = new GuestQueuePairs(parts(7, guestHandles), device);
  const host = new HostQueuePairs(broker.pairs, () => broker.host, parts(2, broker.handles));
  return { broker, local, guest, guestHandles, host };
}

const wish = (change: Partial<QueuePairRequest> = {}): QueuePairRequest => ({
  handle: undefined,
  peer: VMCI_INVALID_ID,
  flags: 0,
  privileges: 0,
  produceSize: 8192,
  consumeSize: 4096,
  ...change,
});

function made(pair: KernelQueuePair | number): KernelQueuePair {
  if (typeof pair === 'number') throw new Error(`the kernel says ${pair}`);
  return pair;
}

const crossed = { produceSize: 4096, consumeSize: 8192 };
const ATTACH = q.VMCI_QPFLAG_ATTACH_ONLY;
const LOCAL = q.VMCI_QPFLAG_LOCAL;

function passes(from: KernelQueuePair, to: KernelQueuePair): boolean {
  const into = new Uint8Array(3);
  from.queues?.produce.enqueue(Uint8Array.of(1, 2, 3));
  return to.queues?.consume.dequeue(into) === 3 && into.join() === '1,2,3';
}

t.test('a guest creates, the host attaches, and bytes pass both ways', async (t) => {
  const { guest, host } = twoKernels();
  const one = made(guest.alloc(wish()));
  t.strictSame({ ...one.handle }, { context: 7, resource: 1024 }, 'a handle of its own is chosen');
  const header = vmci_queue_header.decode(made(one).pages?.view(0, 24) ?? new Uint8Array(24));
  t.strictSame({ ...header.handle }, { ...one.handle }, 'its device wrote the headers');
  const other = made(host.alloc(wish({ handle: one.handle, flags: ATTACH, ...crossed })));
  t.ok(passes(one, other));
  t.ok(passes(other, one));
});

t.test('the host creates without memory, and has it when the guest attaches', async (t) => {
  const { guest, host } = twoKernels();
  const one = made(host.alloc(wish()));
  t.strictSame({ ...one.handle }, { context: 2, resource: 1024 });
  t.equal(one.memory, undefined);
  t.equal(one.queues, undefined);
  const other = made(guest.alloc(wish({ handle: one.handle, flags: ATTACH, ...crossed })));
  t.ok(passes(one, other));
  t.ok(passes(other, one));
  t.equal(one.pages, other.pages, 'it is the same');
});

t.test('what the host still has of memory that the guest unmapped', async (t) => {
  const { broker, guest, host } = twoKernels();
  const one = made(guest.alloc(wish()));
  const other = made(host.alloc(wish({ handle: one.handle, ...crossed })));
  one.queues?.produce.enqueue(new Uint8Array(100));
  const before = other.queues;
  broker.pairs.unmap(broker.guest, one.handle);
  t.equal(other.queues, undefined);
  t.equal(other.saved?.consume.bufReady, 100);
  t.equal(other.saved?.produce.freeSpace, 4095);
  one.queues?.produce.enqueue(new Uint8Array(50));
  t.equal(other.saved?.consume.bufReady, 100, 'as it was then');
  t.throws(() => other.saved?.consume.dequeue(new Uint8Array(1)), RangeError);
  broker.pairs.map(broker.guest, one.handle, { pages: 5, pin: () => one.pages });
  t.equal(other.saved, undefined);
  t.equal(other.queues?.consume.bufReady, 150);
  t.not(other.queues, before, 'other objects');
});

t.test('the host has no memory once the guest has left', async (t) => {
  const { guest, host } = twoKernels();
  const one = made(guest.alloc(wish()));
  const other = made(host.alloc(wish({ handle: one.handle, ...crossed })));
  t.equal(one.detach(), 0);
  t.equal(other.queues, undefined);
  t.equal(other.detach(), 0);
  t.equal(other.detach(), R.VMCI_ERROR_NOT_FOUND, 'once');
  t.equal(one.detach(), R.VMCI_ERROR_NOT_FOUND);
});

t.test('the guest keeps its memory when the host leaves', async (t) => {
  const { guest, host } = twoKernels();
  const one = made(guest.alloc(wish()));
  const other = made(host.alloc(wish({ handle: one.handle, ...crossed })));
  other.queues?.produce.enqueue(Uint8Array.of(9));
  other.detach();
  t.equal(one.queues?.consume.bufReady, 1);
});

t.test('what a kernel refuses by itself', async (t) => {
  for (const kernel of ['guest', 'host'] as const) {
    const { broker, [kernel]: pairs } = twoKernels();
    const cases = [
      ['more than 128 MiB', { produceSize: 128 * MIB, consumeSize: 1 }, R.VMCI_ERROR_NO_RESOURCES],
      ['no bytes', { produceSize: 0, consumeSize: 0 }, R.VMCI_ERROR_INVALID_ARGS],
      ['NONBLOCK', { flags: q.VMCI_QPFLAG_NONBLOCK }, R.VMCI_ERROR_INVALID_ARGS],
      ['PINNED', { flags: q.VMCI_QPFLAG_PINNED }, R.VMCI_ERROR_INVALID_ARGS],
    ] as const;
    for (const [name, change, result] of cases) {
      t.equal(pairs.alloc(wish(change)), result, `${kernel}: ${name}`);
    }
    t.strictSame(broker.pairs.records(), []);
  }
});

t.test('what a guest refuses besides', async (t) => {
  const { guest, guestHandles } = twoKernels();
  t.equal(guest.alloc(wish({ privileges: 2 })), R.VMCI_ERROR_NO_ACCESS);
  const { handle } = made(guest.alloc(wish()));
  t.equal(guest.alloc(wish({ handle })), R.VMCI_ERROR_ALREADY_EXISTS);
  const taken = { context: 7, resource: 55 };
  guestHandles.add(taken);
  t.equal(guest.alloc(wish({ handle: taken })), R.VMCI_ERROR_NO_MEM);
  const absent = { context: 2, resource: 1 };
  t.equal(guest.alloc(wish({ handle: absent, flags: ATTACH })), R.VMCI_ERROR_NOT_FOUND);
  t.notOk(guestHandles.taken.has('2:1'), 'what the device refuses takes no handle');
});

t.test('a guest without a context has no queue pairs', async (t) => {
  const broker = new TestBroker();
  const parts = { cid: () => VMCI_INVALID_ID, handles: new TestHandles(), event: () => undefined };
  const guest = new GuestQueuePairs(parts, new BrokerDevice(broker.pairs, () => undefined));
  t.equal(guest.alloc(wish()), R.VMCI_ERROR_NO_RESOURCES);
});

t.test('all pairs of a device have 128 MiB', async (t) => {
  const { guest } = twoKernels();
  // Memory that is not there until it is used.
  const half = { produceSize: 32 * MIB, consumeSize: 32 * MIB };
  const first = made(guest.alloc(wish(half)));
  made(guest.alloc(wish(half)));
  t.equal(guest.alloc(wish({ produceSize: 1, consumeSize: 0 })), R.VMCI_ERROR_NO_RESOURCES);
  first.detach();
  made(guest.alloc(wish(half)));
});

for (const kernel of ['guest', 'host'] as const) {
  t.test(`a pair within the kernel of the ${kernel}`, async (t) => {
    const { broker, local, [kernel]: pairs } = twoKernels();
    const cid = kernel === 'guest' ? 7 : 2;
    const one = made(pairs.alloc(wish({ flags: LOCAL, handle: { context: cid, resource: 9 } })));
    const second = wish({ flags: LOCAL | ATTACH, handle: one.handle, ...crossed });
    const sizes = { produceSize: 8192, consumeSize: 4096 };
    t.equal(pairs.alloc({ ...second, ...sizes }), R.VMCI_ERROR_QUEUEPAIR_MISMATCH);
    const other = made(pairs.alloc(second));
    t.strictSame(local, [{ event: VMCI_EVENT_QP_PEER_ATTACH, peer: cid }]);
    t.ok(passes(one, other));
    t.ok(passes(other, one));
    t.equal(pairs.alloc(second), R.VMCI_ERROR_UNAVAILABLE, 'a third');
    t.equal(one.detach(), 0);
    t.match(local[1], { event: VMCI_EVENT_QP_PEER_DETACH });
    t.equal(one.detach(), R.VMCI_ERROR_NOT_FOUND);
    t.equal(pairs.alloc(second), R.VMCI_ERROR_UNAVAILABLE, 'nobody comes back');
    t.equal(other.detach(), 0);
    t.equal(local.length, 2, 'the second leaves without a word');
    t.equal(pairs.alloc(second), R.VMCI_ERROR_NOT_FOUND);
    t.strictSame(broker.pairs.records(), [], 'the broker knew nothing of it');
  });
}

t.test('who may create a pair within a kernel', async (t) => {
  const { guest } = twoKernels();
  const local = (change: object) => guest.alloc(wish({ flags: LOCAL, ...change }));
  t.equal(local({ handle: { context: 2, resource: 9 } }), R.VMCI_ERROR_NO_ACCESS);
  t.equal(local({ peer: 2 }), R.VMCI_ERROR_NO_ACCESS);
  t.equal(local({ flags: LOCAL | ATTACH }), R.VMCI_ERROR_NOT_FOUND);
  const { handle } = made(local({ peer: 7 }));
  t.equal(
    guest.alloc(wish({ handle, ...crossed })),
    R.VMCI_ERROR_QUEUEPAIR_MISMATCH,
    'without LOCAL',
  );
});
