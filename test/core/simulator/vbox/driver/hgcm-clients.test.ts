/** Clients of HGCM: to connect and to disconnect. */
import t from 'tap';
import { VBOX_STATUS } from '../../../../../src/core/abi/vbox-err.js';
import { ROOT } from '../../../../../src/core/simulator/node.js';
import { startedGuest } from './guest.js';
import { call, connect, disconnect } from './hgcm-calls.js';
import { later } from './scripted-device.js';

const MIB = 1024 * 1024;

t.test('connect: the host gets the location as it is, and who asks', async (t) => {
  const { node, device } = startedGuest();
  const answer = connect(node, 'VBoxGuestPropSvc', 1);
  t.equal(answer.code, 'ok');
  t.equal(answer.rc, 0);
  t.equal(answer.word(24), 1);
  const [seen] = device.of('VMMDevReq_HGCMConnect');
  t.equal(seen?.bytes.length, 168);
  t.equal(seen?.requestor, 0x8b);
  t.equal(seen?.bytes[32], 1);
  t.equal(new TextDecoder().decode(seen?.bytes.subarray(36, 53)), 'VBoxGuestPropSvc\0');
});

t.test('connect: a result that is a failure is the rc, with client 0', async (t) => {
  const { node, device } = startedGuest();
  device.on('VMMDevReq_HGCMConnect', (view) => {
    view.setUint32(24, 1, true);
    view.setInt32(28, VBOX_STATUS.VERR_HGCM_SERVICE_NOT_FOUND, true);
    view.setUint32(164, 9, true);
    return 0;
  });
  const answer = connect(node);
  t.equal(answer.code, 'ok');
  t.equal(answer.rc, -2900);
  t.equal(answer.word(24), 0);
});

t.test('connect: a status that is a failure is the rc, with client 0', async (t) => {
  const { node, device } = startedGuest();
  device.refuse('VMMDevReq_HGCMConnect', VBOX_STATUS.VERR_NOT_SUPPORTED);
  const answer = connect(node);
  t.equal(answer.rc, -37);
  t.equal(answer.word(24), 0);
});

t.test(
  'connect: 64 clients, one more is EMFILE, and a place that is free again can be had',
  async (t) => {
    const { node, driver } = startedGuest();
    for (let i = 0; i < 64; i++) t.equal(connect(node).code, 'ok');
    t.equal(connect(node).code, 'EMFILE');
    t.equal(connect(driver.open('vboxuser', ROOT)).code, 'ok', 'each node has its own');
    t.equal(disconnect(node, 17).code, 'ok');
    t.equal(connect(node).code, 'ok');
    t.equal(connect(node).code, 'EMFILE');
  },
);

t.test('connect: one that failed takes no place', async (t) => {
  const { node, device } = startedGuest();
  device.refuse('VMMDevReq_HGCMConnect', VBOX_STATUS.VERR_NO_MEMORY);
  for (let i = 0; i < 100; i++) connect(node);
  device.off('VMMDevReq_HGCMConnect');
  t.equal(connect(node).code, 'ok');
});

t.test('connect: without memory is ENOMEM, and takes no place', async (t) => {
  const { node, pages } = startedGuest(2 * MIB);
  const taken: number[] = [];
  for (let at = pages.allocate(4096); at !== undefined; at = pages.allocate(4096)) taken.push(at);
  for (let i = 0; i < 70; i++) t.equal(connect(node).code, 'ENOMEM');
  for (const address of taken) pages.release(address);
  t.equal(connect(node).code, 'ok');
});

t.test('connect: answered late it waits without limit, and no signal ends it', async (t) => {
  const { node, device, advance } = startedGuest();
  device.on('VMMDevReq_HGCMConnect', (view) => {
    view.setUint32(164, 5, true);
    return VBOX_STATUS.VINF_HGCM_ASYNC_EXECUTE;
  });
  const answer = connect(node);
  answer.interrupt();
  advance(3_600_000);
  t.equal(answer.code, 'waits');
  const [seen] = device.of('VMMDevReq_HGCMConnect');
  if (seen !== undefined) device.complete(seen, 0);
  t.equal(answer.code, 'ok');
  t.equal(answer.word(24), 5);
});

t.test('connect: 64 that wait take all places', async (t) => {
  const { node, device } = startedGuest();
  device.on('VMMDevReq_HGCMConnect', later);
  for (let i = 0; i < 64; i++) t.equal(connect(node).code, 'waits');
  t.equal(connect(node).code, 'EMFILE');
});

for (const client of [0, 0xffffffff, 2, 99]) {
  t.test(`disconnect and call: client 0x${client.toString(16)} is EINVAL`, async (t) => {
    const { node, driver, device } = startedGuest();
    connect(node);
    connect(driver.open('vboxguest', ROOT));
    device.seen.length = 0;
    t.equal(disconnect(node, client).code, 'EINVAL');
    t.equal(call(node, [], { client }).code, 'EINVAL');
    t.strictSame(device.types(), []);
  });
}

t.test('disconnect: the client is gone', async (t) => {
  const { node, device } = startedGuest();
  connect(node);
  const answer = disconnect(node, 1);
  t.equal(answer.code, 'ok');
  t.equal(answer.rc, 0);
  t.equal(device.of('VMMDevReq_HGCMDisconnect')[0]?.requestor, 0x8b);
  t.equal(disconnect(node, 1).code, 'EINVAL');
  t.equal(call(node).code, 'EINVAL');
});

t.test('disconnect: what the host refuses leaves the client', async (t) => {
  const { node, device } = startedGuest();
  connect(node);
  device.refuse('VMMDevReq_HGCMDisconnect', VBOX_STATUS.VERR_HGCM_INVALID_CLIENT_ID);
  const answer = disconnect(node, 1);
  t.equal(answer.code, 'ok');
  t.equal(answer.rc, -2905);
  t.equal(call(node).code, 'ok');
});

t.test('disconnect: while the host works on it, the client can not be used', async (t) => {
  const { node, device } = startedGuest();
  connect(node);
  device.on('VMMDevReq_HGCMDisconnect', later);
  const answer = disconnect(node, 1);
  answer.interrupt();
  t.equal(answer.code, 'waits');
  t.equal(call(node).code, 'EINVAL');
  t.equal(disconnect(node, 1).code, 'EINVAL');
  const [seen] = device.of('VMMDevReq_HGCMDisconnect');
  if (seen !== undefined) device.complete(seen, VBOX_STATUS.VERR_GENERAL_FAILURE);
  t.equal(answer.rc, VBOX_STATUS.VERR_GENERAL_FAILURE);
  t.equal(call(node).code, 'ok', 'it was refused');
});
