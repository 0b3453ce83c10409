/** VMCI of a VM: its device, the hypercalls, what becomes of it when its context changes. */
import fc from 'fast-check';
import t from 'tap';
import { toBytes, u32 } from '../../../../src/core/abi/layout.js';
import {
  VMCI_HOST_CONTEXT_ID,
  VMCI_INVALID_HANDLE,
  VMCI_INVALID_ID,
} from '../../../../src/core/abi/vmci.js';
import {
  encodeDatagram,
  VMCI_DG_HEADERSIZE,
  vmci_datagram,
} from '../../../../src/core/abi/vmci-datagram.js';
import {
  VMCI_EVENT_CTX_ID_UPDATE,
  VMCI_EVENT_CTX_REMOVED,
  VMCI_EVENT_QP_RESUMED,
} from '../../../../src/core/abi/vmci-event.js';
import * as abi from '../../../../src/core/abi/vmci-hypercalls.js';
import { BufferMemory } from '../../../../src/core/abi/vmci-memory.js';
import { VMCI_PAGE_SIZE } from '../../../../src/core/abi/vmci-queue.js';
import { VmciDevice } from '../../../../src/core/simulator/vmci/device.js';
import { HYPERCALLS } from '../../../../src/core/simulator/vmci/hypercalls.js';
import { GuestPages } from '../../../../src/core/simulator/vmci/pages.js';
import { at, datagram, endpoint, R, testVmci } from '../../../helpers/vmci.js';

/** A device without a driver, whose calls a test makes itself. */
function testDevice() {
  const lab = testVmci();
  const device = new VmciDevice(lab.host, {
    datagram: () => R.SUCCESS,
    notification: () => undefined,
  });
  device.plug(33);
  const hypercall = (resource: number, payload: Uint8Array) =>
    device.call(encodeDatagram({ dst: at(0, resource), src: VMCI_INVALID_HANDLE, payload }));
  return { ...lab, device, hypercall };
}

/** What follows the header of a request. */
function body(message: Uint8Array): Uint8Array {
  return message.subarray(VMCI_DG_HEADERSIZE);
}

function query(ids: readonly number[], count = ids.length): Uint8Array {
  const head = body(abi.vmci_resource_query_hdr.encode({ num_resources: count }));
  return Uint8Array.from([...head, ...ids.flatMap((id) => [...toBytes(u32, id)])]);
}

t.test('the rows are the hypercalls of the header', async (t) => {
  t.strictSame([...HYPERCALLS.keys()], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16]);
});

t.test('RESOURCES_QUERY has a bit for each call that is there', async (t) => {
  const { hypercall } = testDevice();
  t.equal(hypercall(abi.VMCI_RESOURCES_QUERY, query([abi.VMCI_GET_CONTEXT_ID])), 1);
  t.equal(hypercall(abi.VMCI_RESOURCES_QUERY, query([6, 1, 99, 11, 13])), 0b01010);
  t.equal(hypercall(abi.VMCI_RESOURCES_QUERY, query([])), 0);
  const most = Array.from({ length: abi.VMCI_RESOURCE_QUERY_MAX_NUM }, () => 1);
  t.equal(hypercall(abi.VMCI_RESOURCES_QUERY, query(most)), 0x7fffffff);
  t.equal(hypercall(abi.VMCI_RESOURCES_QUERY, query([...most, 1])), R.INVALID_ARGS);
  t.equal(hypercall(abi.VMCI_RESOURCES_QUERY, query([1], 2)), R.INVALID_ARGS, 'fewer than told');
});

t.test('calls that are not there, and bytes that are no call', async (t) => {
  const { device, hypercall } = testDevice();
  for (const resource of [6, 7, 8, 9, 12, 13, 14, 15, 16, 17, 0xffffffff]) {
    t.equal(hypercall(resource, new Uint8Array(64)), R.INVALID_RESOURCE, `${resource}`);
  }
  t.equal(device.call(new Uint8Array(0)), R.INVALID_ARGS);
  t.equal(device.call(vmci_datagram.encode({ payload_size: 5n })), R.INVALID_ARGS);
  for (const resource of [0, 2, 3, 4, 5, 10, 11]) {
    t.equal(hypercall(resource, new Uint8Array(1)), R.INVALID_ARGS, `${resource} cut short`);
  }
  device.plug(undefined);
  t.equal(hypercall(abi.VMCI_GET_CONTEXT_ID, new Uint8Array(0)), R.DEVICE_NOT_FOUND);
});

t.test('GET_CONTEXT_ID', async (t) => {
  const { hypercall } = testDevice();
  t.equal(hypercall(abi.VMCI_GET_CONTEXT_ID, new Uint8Array(0)), 33);
});

t.test('a ring is a bit in the page that SET_NOTIFY_BITMAP names', async (t) => {
  const { host, device, hypercall, settle } = testDevice();
  const page = new Uint8Array(VMCI_PAGE_SIZE);
  const bitmap_ppn64 = BigInt(device.pages.lend(new BufferMemory(page)));
  const set = (ppn: bigint) =>
    hypercall(
      abi.VMCI_SET_NOTIFY_BITMAP,
      body(abi.vmci_notify_bm_set_msg.encode({ bitmap_ppn64: ppn })),
    );
  const link = (resource: number, index: number) =>
    hypercall(
      abi.VMCI_DOORBELL_LINK,
      body(
        abi.vmci_doorbell_link_msg.encode({
          handle: at(33, resource),
          notify_idx: BigInt(index),
        }),
      ),
    );
  t.equal(set(2n ** 64n - 1n), R.INVALID_ARGS);
  t.equal(link(5, VMCI_PAGE_SIZE), R.INVALID_ARGS);
  t.equal(link(5, 17), R.SUCCESS);
  t.equal(link(5, 18), R.DUPLICATE_ENTRY);
  host.ringDoorbell(at(33, 5), 0);
  settle();
  t.equal(page[17], 0, 'there is no page yet');
  t.equal(set(bitmap_ppn64), R.SUCCESS);
  host.ringDoorbell(at(33, 5), 0);
  t.equal(page[17], 0);
  settle();
  t.equal(page[17], 1);
  const handle = body(abi.vmci_doorbell_unlink_msg.encode({ handle: at(33, 5) }));
  t.equal(hypercall(abi.VMCI_DOORBELL_NOTIFY, handle), R.SUCCESS);
  t.equal(hypercall(abi.VMCI_DOORBELL_UNLINK, handle), R.SUCCESS);
  t.equal(hypercall(abi.VMCI_DOORBELL_UNLINK, handle), R.NOT_FOUND);
  t.equal(hypercall(abi.VMCI_DOORBELL_NOTIFY, handle), R.NOT_FOUND);
});

t.test('QUEUEPAIR_ALLOC takes pages by their numbers, in any order', async (t) => {
  const { host, device, hypercall } = testDevice();
  const memory = new BufferMemory(8 * VMCI_PAGE_SIZE);
  const first = device.pages.lend(memory);
  const alloc = (pages: readonly number[], count = pages.length) => {
    const head = abi.vmci_qp_alloc_msg.encode({
      handle: at(33, 5),
      peer: VMCI_HOST_CONTEXT_ID,
      produce_size: BigInt(VMCI_PAGE_SIZE),
      consume_size: BigInt(VMCI_PAGE_SIZE),
      num_ppns: BigInt(count),
    });
    const numbers = new BigUint64Array(pages.map(BigInt));
    return hypercall(
      abi.VMCI_QUEUEPAIR_ALLOC,
      Uint8Array.from([...body(head), ...new Uint8Array(numbers.buffer)]),
    );
  };
  const pages = [7, 2, 3, 0].map((page) => first + page);
  t.equal(alloc(pages, 5), R.INVALID_ARGS, 'other numbers than told');
  t.equal(alloc([1, 2, 3, 9999]), R.NO_MEM, 'one that the guest has not');
  t.equal(alloc([]), R.NO_MEM);
  t.equal(alloc(pages), R.SUCCESS);
  t.equal(host.queuePairs().length, 1);
  t.equal(memory.view(7 * VMCI_PAGE_SIZE, 8)[4], 5, 'the header is in the first page');
  const handle = body(abi.vmci_qp_detach_msg.encode({ handle: at(33, 5) }));
  t.equal(hypercall(abi.VMCI_QUEUEPAIR_DETACH, handle), R.SUCCESS);
  t.equal(hypercall(abi.VMCI_QUEUEPAIR_DETACH, handle), R.NOT_FOUND);
});

t.test('whatever is written to the device is answered', async (t) => {
  const { device, hypercall, settle } = testDevice();
  const resource = fc.integer({ min: 0, max: 17 });
  const bytes = fc.uint8Array({ maxLength: 200 });
  fc.assert(
    fc.property(resource, bytes, (resource, bytes) => {
      const results = [hypercall(resource, bytes), device.call(bytes)];
      settle();
      return results.every(Number.isInteger);
    }),
    { numRuns: 2000 },
  );
  t.pass();
});

t.test('pages that are given back are lent again, and no longer there', async (t) => {
  const pages = new GuestPages();
  const [a, b, c] = [2, 3, 1].map((count) => new BufferMemory(count * VMCI_PAGE_SIZE));
  if (a === undefined || b === undefined || c === undefined) return;
  t.strictSame([pages.lend(a), pages.lend(b)], [1, 3]);
  t.equal(pages.resolve([1, 2, 3, 4, 5])?.length, 5 * VMCI_PAGE_SIZE);
  t.equal(pages.resolve([1, 2]), a);
  pages.giveBack(1);
  t.equal(pages.resolve([2]), undefined);
  t.equal(pages.lend(c), 1);
  t.equal(pages.resolve([1]), c);
  t.equal(pages.resolve([Number.NaN]), undefined);
});

t.test('without a context a guest has no device', async (t) => {
  const { vmci } = testVmci();
  const guest = vmci.addGuest();
  t.equal(guest.kernel, undefined);
  t.equal(guest.cid, undefined);
  guest.setCid(33);
  t.equal(guest.kernel?.cid, 33);
});

t.test('with another context a guest is told, and the old one is gone', async (t) => {
  const { host, guest, settle } = testVmci();
  const vm = guest(33);
  const events: number[] = [];
  for (const event of [VMCI_EVENT_CTX_ID_UPDATE, VMCI_EVENT_QP_RESUMED]) {
    vm.driver.subscribe(event, () => events.push(event));
  }
  host.contexts.get(2)?.watch(33);
  const removed: number[] = [];
  host.subscribe(VMCI_EVENT_CTX_REMOVED, (payload) => removed.push(payload[8] ?? 0));
  vm.setCid(40);
  settle();
  t.strictSame(events, [VMCI_EVENT_CTX_ID_UPDATE, VMCI_EVENT_QP_RESUMED]);
  t.strictSame(removed, [33]);
  t.equal(vm.driver.cid, 40);
  t.notOk(host.has(33));
  vm.setCid(40);
  settle();
  t.equal(events.length, 2, 'the same one is no change');
});

t.test('what waited for the old context does not come to the new one', async (t) => {
  const { host, guest, settle } = testVmci();
  const vm = guest(33);
  const mine = endpoint(host, 5);
  const theirs = endpoint(vm.driver, 500);
  host.sendDatagram(datagram(theirs.handle, mine.handle));
  vm.setCid(40);
  settle();
  t.equal(theirs.got.length, 0);
});

t.test('a guest that was switched off has forgotten all', async (t) => {
  const { host, guest, settle } = testVmci();
  const vm = guest(33);
  const before = vm.driver;
  const theirs = endpoint(before, 500);
  const mine = endpoint(host, 5);
  host.sendDatagram(datagram(theirs.handle, mine.handle));
  vm.setCid(undefined);
  t.notOk(host.has(33));
  const late = datagram(at(2, 5), theirs.handle);
  t.equal(before.sendDatagram(late), R.NO_ACCESS, 'no way leads to the host');
  vm.setCid(33);
  t.not(vm.driver, before);
  host.sendDatagram(datagram(at(33, 500), mine.handle));
  settle();
  t.equal(theirs.got.length, 0);
});

t.test(
  'a program in a guest has a context of that guest, and its kernel stays a guest',
  async (t) => {
    const { host, guest, settle } = testVmci();
    const { driver } = guest(33);
    const nested = driver.createContext(50, 0);
    driver.hostUsers++;
    const own = endpoint(driver, 500);
    t.equal(driver.cid, 33);
    t.equal(driver.dispatch(50, datagram(at(50, 1), at(50, 1)), true), 25);
    t.ok(nested.pending);
    t.equal(driver.dispatch(50, datagram(at(2, 9), at(50, 1)), true), R.INVALID_RESOURCE);
    const outer = endpoint(host, 5);
    t.equal(driver.sendDatagram(datagram(outer.handle, own.handle)), 25);
    t.equal(outer.got.length, 1, 'its host is the outer one');
    settle();
    t.equal(driver.cid === VMCI_INVALID_ID, false);
  },
);
