/** Contexts: their numbers, who learns that they end, what they keep. */
import t from 'tap';
import {
  VMCI_INVALID_ID,
  VMCI_MAX_CONTEXTS,
  VMCI_PRIVILEGE_FLAG_RESTRICTED,
} from '../../../../src/core/abi/vmci.js';
import { VMCI_MAX_DG_SIZE } from '../../../../src/core/abi/vmci-datagram.js';
import {
  VMCI_EVENT_CTX_REMOVED,
  vmci_event_data,
  vmci_event_payld_ctx,
} from '../../../../src/core/abi/vmci-event.js';
import { isVm } from '../../../../src/core/simulator/vmci/access.js';
import { HandleArray } from '../../../../src/core/simulator/vmci/handle-array.js';
import { at, datagram, R, testVmci } from '../../../helpers/vmci.js';

t.test('a number that is taken is replaced by the next free one above 15', async (t) => {
  const { host } = testVmci();
  const numbers = [2, 7, 7, 7, 0, 1, 0, 16].map((cid) => host.createContext(cid, 0).cid);
  t.strictSame(numbers, [16, 7, 17, 18, 0, 1, 19, 20]);
});

t.test('the last number leads back to 16', async (t) => {
  const { host } = testVmci();
  const last = VMCI_INVALID_ID - 1;
  t.equal(host.createContext(last, 0).cid, last);
  t.equal(host.createContext(last, 0).cid, 16);
});

t.test('contexts from 3 on count as VMs', async (t) => {
  t.strictSame([0, 1, 2, 3, 15, 16, VMCI_INVALID_ID].filter(isVm), [3, 15, 16]);
});

t.test('who watches a context is told when it ends, if the two may interact', async (t) => {
  const { host } = testVmci();
  const watcher = host.createContext(1, 0);
  const watched = host.createContext(60, 0);
  const hidden = host.createContext(61, VMCI_PRIVILEGE_FLAG_RESTRICTED);
  t.equal(watcher.watch(60), R.SUCCESS);
  t.equal(watcher.watch(61), R.SUCCESS);
  host.contexts.destroy(hidden);
  t.notOk(watcher.pending);
  host.contexts.destroy(watched);
  const { datagram: event } = watcher.dequeue(VMCI_MAX_DG_SIZE);
  t.strictSame(event?.src, at(0, 0));
  t.strictSame(event?.dst, at(1, 0));
  const payload = event?.payload ?? new Uint8Array(0);
  t.equal(payload.length, 16);
  t.equal(vmci_event_data.decode(payload).event, VMCI_EVENT_CTX_REMOVED);
  t.equal(vmci_event_payld_ctx.decode(payload.subarray(8)).context_id, 60);
  t.notOk(watcher.pending);
});

t.test("the host's own subscribers are told of contexts that it watches", async (t) => {
  const { host } = testVmci();
  const events: number[] = [];
  host.subscribe(VMCI_EVENT_CTX_REMOVED, (payload) => {
    events.push(vmci_event_payld_ctx.decode(payload.subarray(8)).context_id);
  });
  const guest = host.createContext(60, 0);
  host.contexts.get(2)?.watch(60);
  host.contexts.destroy(guest);
  host.contexts.destroy(guest);
  t.strictSame(events, [60], 'it ends once');
});

t.test('a VM watches no VM, and a restricted one nobody', async (t) => {
  const { host } = testVmci();
  const vm = host.createContext(7, 0);
  t.equal(vm.watch(16), R.DST_UNREACHABLE);
  t.equal(vm.watch(2), R.SUCCESS);
  t.equal(vm.watch(2), R.ALREADY_EXISTS);
  t.equal(vm.unwatch(2), R.SUCCESS);
  t.equal(vm.unwatch(2), R.NOT_FOUND);
  t.equal(vm.watch(1), R.SUCCESS, 'whether it is there is not asked');
  const restricted = host.createContext(50, VMCI_PRIVILEGE_FLAG_RESTRICTED);
  t.equal(restricted.watch(2), R.NO_ACCESS);
});

t.test('a context watches 2000 others', async (t) => {
  const { host } = testVmci();
  const watcher = host.createContext(1, 0);
  for (let i = 0; i < VMCI_MAX_CONTEXTS; i++) watcher.watch(100 + i);
  t.equal(watcher.watched.length, VMCI_MAX_CONTEXTS);
  t.equal(watcher.watch(99), R.NO_MEM);
});

t.test('the flag says what waits: at its setting datagrams, later also rings', async (t) => {
  const { host } = testVmci();
  const context = host.createContext(7, 0);
  context.createDoorbell(at(7, 1));
  context.ring(at(7, 1));
  let flag: number | undefined;
  context.setNotify((value) => {
    flag = value;
  });
  t.equal(flag, undefined, 'a ring from before is not told');
  host.dispatch(7, datagram(at(7, 1), at(7, 1)), true);
  t.equal(flag, 1);
  context.dequeue(VMCI_MAX_DG_SIZE);
  t.equal(flag, 1, 'the ring still waits');
  context.clearRung();
  t.equal(flag, 0);
  context.clearNotify();
  context.ring(at(7, 1));
  t.equal(flag, 0, 'it was taken away');
});

t.test('handles keep their order until one leaves; the last takes its place', async (t) => {
  const handles = new HandleArray(4);
  const order = () => handles.handles.map(({ resource }) => resource);
  for (const resource of [1, 2, 3, 4]) t.equal(handles.append(at(7, resource)), R.SUCCESS);
  t.equal(handles.append(at(7, 5)), R.NO_MEM);
  t.ok(handles.remove(at(7, 2)));
  t.notOk(handles.remove(at(7, 2)));
  t.strictSame(order(), [1, 4, 3]);
  t.ok(handles.remove(at(7, 3)));
  t.strictSame(order(), [1, 4]);
  t.ok(handles.has(at(7, 4)));
  handles.clear();
  t.equal(handles.size, 0);
});
