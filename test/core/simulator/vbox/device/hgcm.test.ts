import t from 'tap';
import { VMMDevHGCMCancel2 } from '../../../../../src/core/abi/hgcm.js';
import { VBOX_STATUS } from '../../../../../src/core/abi/vbox-err.js';
import { VMMDEV_EVENT, VMMDEV_REQUEST_TYPE } from '../../../../../src/core/abi/vmmdev.js';
import { VMMDevReportGuestInfo2 } from '../../../../../src/core/abi/vmmdev-requests.js';
import {
  call,
  callBytes,
  client,
  connect,
  disconnect,
  outcome,
  submit,
  TestService,
  u32,
  u64,
} from '../../../../helpers/hgcm.js';
import { MIB, Rig, type RigOptions } from '../../../../helpers/vmmdev.js';

const {
  VERR_CANCELLED,
  VERR_HGCM_INVALID_CLIENT_ID,
  VERR_HGCM_SERVICE_NOT_FOUND,
  VERR_HGCM_TOO_MANY_CLIENT_CALLS,
  VERR_HGCM_TOO_MANY_CLIENTS,
  VERR_INTERRUPTED,
  VERR_INVALID_PARAMETER,
  VERR_NO_MEMORY,
  VERR_NOT_FOUND,
  VINF_HGCM_ASYNC_EXECUTE,
  VINF_SUCCESS,
} = VBOX_STATUS;
const { VMMDEV_EVENT_HGCM: EVENT } = VMMDEV_EVENT;

function rigWith(options: RigOptions & { maxCalls?: number } = {}): {
  rig: Rig;
  service: TestService;
} {
  const service = new TestService(options.maxCalls);
  return { rig: new Rig({ services: new Map([['Test', service]]), ...options }), service };
}

function cancel2(rig: Rig, physReqToCancel: number): number {
  return rig.ask('VMMDevReq_HGCMCancel2', VMMDevHGCMCancel2, { physReqToCancel }).rc;
}

/** The driver says in each request who asks. */
function tellsRequestors(rig: Rig): void {
  const szName = new Uint8Array(128);
  szName.set(new TextEncoder().encode('6.0.0'));
  rig.ask('VMMDevReq_ReportGuestInfo2', VMMDevReportGuestInfo2, {
    guestInfo: {
      additionsMajor: 6,
      additionsMinor: 0,
      additionsBuild: 0,
      additionsRevision: 0,
      additionsFeatures: 1,
      szName,
    },
  });
}

t.test('request 60: is answered by "comes later", and done with a number', async (t) => {
  const { rig, service } = rigWith();
  const answered = connect(rig, 'Test');
  const done = { rc: VINF_HGCM_ASYNC_EXECUTE, result: VINF_SUCCESS, done: true };
  t.same(outcome(answered), done);
  t.equal(answered.view.getUint32(164, true), 1);
  t.same([...service.clients], [1]);
  t.equal(client(rig, 'Test'), 2);
  t.same(rig.device.hgcm, { clients: 2, commands: 0 });
});

t.test('request 60: an unknown service is -2900, and the number stays as it was', async (t) => {
  const { rig } = rigWith();
  for (const name of ['test', 'Test2', '', 'Tes']) {
    const answered = connect(rig, name);
    t.equal(outcome(answered).result, VERR_HGCM_SERVICE_NOT_FOUND, name);
    t.equal(answered.view.getUint32(164, true), 77);
  }
});

t.test('request 60: a name has to end within its 128 bytes', async (t) => {
  const { rig } = rigWith();
  const answered = connect(rig, 'x'.repeat(128));
  t.same(outcome(answered), { rc: VERR_INVALID_PARAMETER, result: 0, done: false });
  t.equal(rig.device.hgcm.commands, 0);
  t.equal(outcome(connect(rig, 'x'.repeat(127))).result, VERR_HGCM_SERVICE_NOT_FOUND);
});

t.test('request 60: any kind of location means a service that is there', async (t) => {
  const { rig } = rigWith();
  for (const type of [0, 1, 2, 99]) {
    const bytes = new Uint8Array(168);
    bytes[32] = type;
    bytes.set(new TextEncoder().encode('Test'), 36);
    const { view } = rig.send(VMMDEV_REQUEST_TYPE.VMMDevReq_HGCMConnect, bytes);
    t.equal(view.getInt32(28, true), VINF_SUCCESS, `${type}`);
  }
});

t.test('request 60: a service may refuse', async (t) => {
  const { rig, service } = rigWith();
  service.status = VERR_NO_MEMORY;
  t.equal(outcome(connect(rig, 'Test')).result, VERR_NO_MEMORY);
  t.equal(rig.device.hgcm.clients, 0);
});

t.test('the first command lets the event of HGCM through the filter', async (t) => {
  const { rig } = rigWith();
  t.equal(rig.device.events.filter, 0);
  connect(rig, 'nobody');
  t.same(rig.device.events, { pending: EVENT, filter: EVENT });
  t.ok(rig.interrupt);
  t.equal(rig.device.readFastIrqAck(), EVENT);
});

t.test('clients of a service are limited by class: -2908', async (t) => {
  const { rig } = rigWith();
  tellsRequestors(rig);
  for (const [requestor, most] of [
    [1, 2048],
    [3, 1024],
    [6, 1024],
  ] as const) {
    for (let i = 0; i < most; i++) client(rig, 'Test', requestor);
    t.equal(outcome(connect(rig, 'Test', requestor)).result, VERR_HGCM_TOO_MANY_CLIENTS);
  }
  disconnect(rig, 1);
  t.equal(outcome(connect(rig, 'Test', 1)).result, VINF_SUCCESS);
});

t.test('who does not say who asks counts as the kernel', async (t) => {
  const { rig } = rigWith();
  for (let i = 0; i < 2048; i++) client(rig, 'Test', 6);
  t.equal(outcome(connect(rig, 'Test', 3)).result, VERR_HGCM_TOO_MANY_CLIENTS);
});

t.test('request 61: tells the service, and the number is gone', async (t) => {
  const { rig, service } = rigWith();
  const id = client(rig, 'Test');
  t.same(outcome(disconnect(rig, id)), {
    rc: VINF_HGCM_ASYNC_EXECUTE,
    result: VINF_SUCCESS,
    done: true,
  });
  t.same(service.notes, [`disconnect ${id}`]);
  t.equal(outcome(disconnect(rig, id)).result, VERR_HGCM_INVALID_CLIENT_ID);
  t.equal(call(rig, id, 1, []).rc, VERR_HGCM_INVALID_CLIENT_ID);
  t.same(outcome(disconnect(rig, 0)), { rc: VERR_INVALID_PARAMETER, result: 0, done: false });
});

t.test('request 61: calls that wait end before it does', async (t) => {
  const { rig, service } = rigWith();
  const id = client(rig, 'Test');
  const bytes = callBytes(id, 2, []);
  const waits = submit(rig, bytes);
  t.same(outcome(waits), { rc: VINF_HGCM_ASYNC_EXECUTE, result: 0, done: false });
  disconnect(rig, id);
  t.same(outcome(rig.look(waits.address, bytes.length)), {
    rc: VINF_HGCM_ASYNC_EXECUTE,
    result: VERR_INTERRUPTED,
    done: true,
  });
  service.forgets = true;
  const other = client(rig, 'Test');
  const left = submit(rig, callBytes(other, 2, []));
  disconnect(rig, other);
  t.equal(outcome(rig.look(left.address, 44)).result, VERR_CANCELLED);
  t.equal(rig.device.hgcm.commands, 0);
});

t.test('request 63: a call that ends at once is done when it is answered', async (t) => {
  const { rig } = rigWith();
  const id = client(rig, 'Test');
  rig.device.readFastIrqAck();
  const answered = call(rig, id, 1, [u32(41), u64(2n ** 64n - 2n)]);
  t.same(outcome(answered), { rc: VINF_HGCM_ASYNC_EXECUTE, result: 0, done: true });
  t.equal(answered.view.getUint32(48, true), 42);
  t.equal(answered.view.getBigUint64(64, true), 2n ** 64n - 1n);
  t.equal(rig.device.readFastIrqAck(), EVENT);
  t.equal(outcome(call(rig, id, 78, [])).result, VERR_NOT_FOUND);
});

t.test('request 62: parameters have 12 bytes', async (t) => {
  const { rig } = rigWith();
  const id = client(rig, 'Test');
  const { view } = call(rig, id, 1, [u32(1), u64(5n), u32(9)], false);
  t.equal(view.getUint32(48, true), 2);
  t.equal(view.getBigUint64(60, true), 6n);
  t.equal(view.getUint32(72, true), 10);
});

t.test('a call that waits is written when it ends, with the event', async (t) => {
  const { rig, service } = rigWith();
  const id = client(rig, 'Test');
  const bytes = callBytes(id, 2, [u32(5)]);
  const { address } = submit(rig, bytes);
  rig.device.readFastIrqAck();
  t.equal(rig.device.hgcm.commands, 1);
  const [waits] = service.waiting;
  const [parameter] = waits?.parameters ?? [];
  if (waits === undefined || parameter?.type !== 'u32') throw new Error('no call came');
  parameter.value = 6;
  t.equal(rig.look(address, bytes.length).view.getUint32(48, true), 5, 'nothing comes before');
  waits.complete(41);
  const after = rig.look(address, bytes.length);
  t.same(outcome(after), { rc: VINF_HGCM_ASYNC_EXECUTE, result: 41, done: true });
  t.equal(after.view.getUint32(48, true), 6);
  t.equal(rig.device.readFastIrqAck(), EVENT);
  parameter.value = 7;
  waits.complete(0);
  t.same(rig.look(address, bytes.length).bytes, after.bytes, 'later ends do nothing');
  t.equal(rig.device.readFastIrqAck(), 0);
});

t.test('a client is refused what is not its own: 0, and numbers that nobody has', async (t) => {
  const { rig } = rigWith();
  t.equal(call(rig, 0, 1, []).rc, VERR_INVALID_PARAMETER);
  t.equal(call(rig, 1, 1, []).rc, VERR_HGCM_INVALID_CLIENT_ID);
  t.equal(call(rig, 0xffffffff, 1, []).rc, VERR_HGCM_INVALID_CLIENT_ID);
  t.equal(rig.device.hgcm.commands, 0);
});

t.test('calls under way of one client are limited: -2909', async (t) => {
  const { rig, service } = rigWith({ maxCalls: 3 });
  const id = client(rig, 'Test');
  for (let i = 0; i < 3; i++) t.equal(submit(rig, callBytes(id, 2, [])).rc, 2903);
  t.equal(submit(rig, callBytes(id, 2, [])).rc, VERR_HGCM_TOO_MANY_CLIENT_CALLS);
  const other = client(rig, 'Test');
  t.equal(submit(rig, callBytes(other, 2, [])).rc, 2903, 'another client has its own');
  service.waiting[0]?.complete(0);
  t.equal(submit(rig, callBytes(id, 2, [])).rc, 2903);
});

t.test('parameters: as many as the request has room for, and 32 at most', async (t) => {
  const { rig } = rigWith();
  const id = client(rig, 'Test');
  const many = (length: number) => Array.from({ length }, (_, i) => u32(i));
  t.equal(outcome(call(rig, id, 1, many(32))).result, 0);
  t.equal(call(rig, id, 1, many(33)).rc, VERR_INVALID_PARAMETER);
  rig.lines.length = 0;
  for (const count of [2, 3, 0x10000000, 0xffffffff]) {
    const bytes = callBytes(id, 1, many(1), { count });
    t.equal(submit(rig, bytes).rc, VERR_INVALID_PARAMETER, `${count}`);
  }
  t.equal(
    rig.lines[0],
    'VMMDev: request packet with invalid number of HGCM parameters: 1 vs 2. Refusing operation.',
  );
  for (let i = 0; i < 100; i++) submit(rig, callBytes(id, 1, [], { count: 1 }));
  t.equal(rig.lines.length, 49, 'with the one before these 50');
});

t.test('request 65: cancels the request at an address', async (t) => {
  const { rig, service } = rigWith();
  const id = client(rig, 'Test');
  const bytes = callBytes(id, 2, [u32(5)]);
  const { address } = submit(rig, bytes);
  rig.device.readFastIrqAck();
  t.equal(cancel2(rig, address), VINF_SUCCESS);
  t.same(service.notes, [`cancelled ${id}`]);
  const before = rig.look(address, bytes.length).bytes;
  service.waiting[0]?.complete(0);
  t.same(rig.look(address, bytes.length).bytes, before, 'nothing is written any more');
  t.equal(rig.device.readFastIrqAck(), 0);
  t.equal(cancel2(rig, address), VERR_NOT_FOUND);
  t.equal(cancel2(rig, address + 4), VERR_NOT_FOUND);
  t.equal(cancel2(rig, 0), VERR_INVALID_PARAMETER);
  t.equal(cancel2(rig, 0xffffffff), VERR_INVALID_PARAMETER);
});

t.test('request 64: cancels the request that it lies on', async (t) => {
  const { rig, service } = rigWith();
  const id = client(rig, 'Test');
  const { address, bytes } = submit(rig, callBytes(id, 2, []));
  const { VMMDevReq_HGCMCancel } = VMMDEV_REQUEST_TYPE;
  const view = new DataView(bytes.buffer);
  view.setUint32(8, VMMDevReq_HGCMCancel, true);
  rig.memory.write(address, bytes);
  rig.device.writeRequest(address);
  t.equal(rig.look(address, bytes.length).rc, VINF_SUCCESS);
  t.same(service.notes, [`cancelled ${id}`]);
  rig.device.writeRequest(address);
  t.equal(rig.look(address, bytes.length).rc, VERR_INVALID_PARAMETER, 'there is none any more');
});

t.test('a guest that makes another request of a call gets INVALID_PARAMETER', async (t) => {
  const { rig, service } = rigWith();
  const id = client(rig, 'Test');
  const bytes = callBytes(id, 2, [u32(5)]);
  const { address } = submit(rig, bytes);
  rig.memory.write(address + 8, Uint8Array.of(4));
  const [waits] = service.waiting;
  const [parameter] = waits?.parameters ?? [];
  if (parameter?.type === 'u32') parameter.value = 6;
  waits?.complete(0);
  const after = rig.look(address, bytes.length);
  t.same(outcome(after), { rc: 2903, result: VERR_INVALID_PARAMETER, done: true });
  t.equal(after.view.getUint32(48, true), 5, 'parameters are left alone');
  t.match(rig.lines, ['VMMDEV: Invalid HGCM command: request 63 has become 4']);
});

t.test('what calls hold on the host is limited by class: NO_MEMORY', async (t) => {
  const { rig, service } = rigWith({ config: { hgcmHeapBudget: 4096 }, maxCalls: 100 });
  const id = client(rig, 'Test');
  for (let i = 0; i < 8; i++) t.equal(submit(rig, callBytes(id, 2, [])).rc, 2903);
  t.equal(submit(rig, callBytes(id, 2, [])).rc, VERR_NO_MEMORY);
  t.equal(connect(rig, 'Test').rc, VERR_NO_MEMORY);
  t.equal(disconnect(rig, id).rc, VERR_NO_MEMORY);
  t.equal(submit(rig, callBytes(id, 2, []), true, 6).rc, 2903, 'another class has its own');
  service.waiting[0]?.complete(0);
  t.equal(submit(rig, callBytes(id, 2, [])).rc, 2903);
});

t.test('a refused call holds nothing', async (t) => {
  const { rig } = rigWith({ config: { hgcmHeapBudget: 512 } });
  const id = client(rig, 'Test');
  for (let i = 0; i < 5; i++) {
    t.equal(call(rig, 99, 1, []).rc, VERR_HGCM_INVALID_CLIENT_ID);
    t.equal(call(rig, id, 1, [{ type: 99, first: 0 }]).rc, VERR_INVALID_PARAMETER);
    t.equal(outcome(call(rig, id, 1, [])).result, 0);
  }
});

t.test('a reset ends all without a word to the guest', async (t) => {
  const { rig, service } = rigWith();
  const id = client(rig, 'Test');
  const bytes = callBytes(id, 2, []);
  const { address } = submit(rig, bytes);
  const before = rig.look(address, bytes.length).bytes;
  rig.device.reset();
  t.same(service.notes, ['reset']);
  t.same(rig.device.hgcm, { clients: 0, commands: 0 });
  service.waiting[0]?.complete(0);
  t.same(rig.look(address, bytes.length).bytes, before);
  t.equal(rig.device.events.pending, 0);
  rig.report();
  t.equal(client(rig, 'Test'), id + 1, 'numbers go on');
  t.equal(rig.device.events.filter, EVENT, 'the filter is set anew');
});

t.test('a call that ends after its memory is gone is forgotten', async (t) => {
  let size = 64 * MIB;
  const service = new TestService();
  const rig = new Rig({ services: new Map([['Test', service]]) });
  Object.defineProperty(rig.memory, 'size', { get: () => size });
  const id = client(rig, 'Test');
  submit(rig, callBytes(id, 2, []));
  rig.device.readFastIrqAck();
  size = 2 * MIB;
  service.waiting[0]?.complete(0);
  t.equal(rig.device.hgcm.commands, 0);
  t.equal(rig.device.events.pending, 0);
});
