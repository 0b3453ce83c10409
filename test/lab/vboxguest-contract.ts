/** What a guest of VirtualBox does for its programs, as tests: by the clients, on whatever driver. */
import type { Test } from 'tap';
import { SystemError } from '../../src/core/abi/errno.js';
import { VBOX_STATUS } from '../../src/core/abi/vbox-err.js';
import { VMMDEV_EVENT, VMMDEV_REQUEST_TYPE } from '../../src/core/abi/vmmdev.js';
import {
  VMMDevReqGuestHeartbeat,
  VMMDevReqHostTime,
  VMMDevReqSessionId,
} from '../../src/core/abi/vmmdev-requests.js';
import type { DeviceNode } from '../../src/core/backend/port/node.js';
import { guestProperties } from '../../src/core/client/guest-prop-service.js';
import { hgcmCall, hgcmConnect, hgcmDisconnect } from '../../src/core/client/hgcm.js';
import { checkBalloon, driverVersion, vmmDevRequest } from '../../src/core/client/vboxguest.js';
import { changeFilter, interruptAll, waitForEvents } from '../../src/core/client/vmmdev-events.js';
import { ECHO_FN } from '../../src/core/simulator/vbox/services/echo.js';
import { until } from '../helpers/host.js';
import type { VboxGuest } from './vboxguest-guests.js';

const { VMMDEV_EVENT_VRDP, VMMDEV_EVENT_BALLOON_CHANGE_REQUEST } = VMMDEV_EVENT;
/** What the driver wants of the host for itself: calls of services, and the pointer's position. */
const DRIVER_FILTER = 0x202;
const CLIENTS_MAX = 64;
const LARGE = 20_000;
/** Long enough to come true, and not waited for. */
const PATIENCE_MS = 30_000;

export async function testVboxGuest(t: Test, guest: VboxGuest): Promise<void> {
  const { device } = guest;
  /** A test with a node of its own. */
  const test = (title: string, run: (t: Test, node: DeviceNode) => Promise<void>) =>
    t.test(title, async (t) => {
      const node = await guest.open('/dev/vboxguest');
      await run(t, node);
      await node.close();
    });

  await test('the version of the interface', async (t, node) => {
    t.strictSame(await driverVersion(node), { session: 0x10000, driver: 0x10000, revision: 0 });
  });

  await test('requests for the host: its time, its session, and one that is refused', async (t, node) => {
    const { VMMDevReq_GetHostTime, VMMDevReq_GetSessionId, VMMDevReq_GuestHeartbeat } =
      VMMDEV_REQUEST_TYPE;
    const before = Date.now();
    const time = await vmmDevRequest(node, VMMDevReq_GetHostTime, VMMDevReqHostTime.encode({}));
    const told = Number(VMMDevReqHostTime.decode(time.data).time);
    t.ok(told >= before - 1 && told <= Date.now() + 1, 'the time is now');
    const id = async () => {
      const request = VMMDevReqSessionId.encode({});
      return VMMDevReqSessionId.decode(
        (await vmmDevRequest(node, VMMDevReq_GetSessionId, request)).data,
      ).idSession;
    };
    t.equal(await id(), await id(), 'a session lasts');
    const beat = VMMDevReqGuestHeartbeat.encode({});
    await t.rejects(vmmDevRequest(node, VMMDevReq_GuestHeartbeat, beat), { code: 'EPERM' });
  });

  await test('events: one that waits for the filter, one that is waited for', async (t, node) => {
    device.raiseEvents(VMMDEV_EVENT_VRDP);
    t.equal(await codeOf(wait(node, 100)), 'ETIMEDOUT', 'nobody has asked for it');
    await changeFilter(node, VMMDEV_EVENT_VRDP, 0);
    t.equal(device.events.filter, DRIVER_FILTER | VMMDEV_EVENT_VRDP);
    t.equal(await wait(node), VMMDEV_EVENT_VRDP);
    t.equal(await codeOf(wait(node, 100)), 'ETIMEDOUT', 'it is taken');
    const waiting = wait(node);
    t.equal(await codeOf(wait(node, 200)), 'ETIMEDOUT', 'the other waits on');
    device.raiseEvents(VMMDEV_EVENT_VRDP);
    t.equal(await waiting, VMMDEV_EVENT_VRDP);
  });

  await test('events: one of two waiters gets it', async (t, node) => {
    const other = await guest.open('/dev/vboxuser');
    await changeFilter(node, VMMDEV_EVENT_VRDP, 0);
    const waits = [wait(node, 2000), wait(other, 2000)].map(codeOf);
    t.equal(await codeOf(wait(node, 200)), 'ETIMEDOUT', 'both wait by now');
    device.raiseEvents(VMMDEV_EVENT_VRDP);
    t.strictSame((await Promise.all(waits)).sort(), ['ETIMEDOUT', 'ok']);
    await other.close();
  });

  await test('events: a signal ends a wait, and so does another thread', async (t, node) => {
    const abort = new AbortController();
    const waiting = codeOf(wait(node, PATIENCE_MS, abort.signal));
    t.equal(await codeOf(wait(node, 100)), 'ETIMEDOUT');
    abort.abort();
    t.equal(await waiting, 'EINTR');
    const two = [wait(node), wait(node)].map(codeOf);
    t.equal(await codeOf(wait(node, 100)), 'ETIMEDOUT');
    await interruptAll(node);
    t.strictSame(await Promise.all(two), ['EINTR', 'EINTR']);
    t.equal(await codeOf(wait(node)), 'EINTR', 'also those to come');
  });

  await test('a closed node wants no events', async (t, node) => {
    const other = await guest.open('/dev/vboxguest');
    await changeFilter(other, 0x4, 0);
    await changeFilter(node, 0x8, 0);
    t.equal(device.events.filter, DRIVER_FILTER | 0xc);
    await other.close();
    t.equal(device.events.filter, DRIVER_FILTER | 0x8);
    t.equal(await codeOf(changeFilter(node, 0x800, 0)), 'EINVAL');
  });

  await test('balloon: the guest follows once somebody asks for the event', async (t, node) => {
    const held = async (chunks: number) => {
      device.setBalloonTarget(chunks);
      await until(`the balloon has ${chunks}`, () => device.balloon.actualChunks === chunks);
      t.equal(await checkBalloon(node), chunks);
    };
    device.setBalloonTarget(6);
    t.equal(await codeOf(wait(node, 300)), 'ETIMEDOUT');
    t.equal(await checkBalloon(node), 0, 'nobody has asked');
    await changeFilter(node, VMMDEV_EVENT_BALLOON_CHANGE_REQUEST, 0);
    await until('the balloon has 6', () => device.balloon.actualChunks === 6);
    await held(9);
    await held(2);
    await held(0);
    t.throws(() => device.setBalloonTarget(device.maxBalloonChunks + 1), { code: 'EINVAL' });
  });

  await test('guest properties, from either side', async (t, node) => {
    const inGuest = await guestProperties(node);
    await inGuest.set('/Lab/FromGuest', 'one', 'TRANSIENT');
    t.match(guest.properties.get('/Lab/FromGuest'), { value: 'one' });
    t.equal(guest.properties.set('/Lab/FromHost', 'zwei ½'), VBOX_STATUS.VINF_SUCCESS);
    t.match(await inGuest.get('/Lab/FromHost'), { value: 'zwei ½' });
    const names = (await inGuest.list('/Lab/*')).map(({ name }) => name).sort();
    t.strictSame(names, ['/Lab/FromGuest', '/Lab/FromHost']);
    t.equal(await codeOf(inGuest.get('/Lab/Nothing')), 'ENOENT');
    t.equal(await codeOf(inGuest.set('/VirtualBox/HostInfo/X', '')), 'EACCES');
    const next = inGuest.next('/Lab/Later', {});
    t.equal(await codeOf(wait(node, 200)), 'ETIMEDOUT');
    guest.properties.set('/Lab/Later', 'now');
    t.match(await next, { name: '/Lab/Later', value: 'now', deleted: false });
  });

  await test('calls of services: buffers over many pages, and statuses', async (t, node) => {
    const client = await hgcmConnect(node, 'VmmctlEcho');
    const data = new Uint8Array(LARGE).map((_, i) => i * 7 + (i >> 8));
    const { status, parameters } = await hgcmCall(node, client, ECHO_FN.ECHO, [
      { type: 'u64', value: 0x1122334455667788n },
      { type: 'in', data },
      { type: 'u64', value: 0n },
      { type: 'out', data: new Uint8Array(LARGE) },
    ]);
    t.equal(status, VBOX_STATUS.VINF_SUCCESS);
    t.match(parameters[2], { value: 0x1122334455667788n });
    t.strictSame(parameters[3], { type: 'out', data });
    const status2 = (
      await hgcmCall(node, client, ECHO_FN.FAIL, [{ type: 'u32', value: 0xffffffd3 }])
    ).status;
    t.equal(status2, -45);
    await hgcmDisconnect(node, client);
    t.equal(await codeOf(hgcmCall(node, client, ECHO_FN.ECHO, [])), 'EINVAL', 'no client any more');
    const missing = hgcmConnect(node, 'NoSuchService');
    await t.rejects(missing, { code: 'ENOENT', cause: { code: 'VERR_HGCM_SERVICE_NOT_FOUND' } });
  });

  await test('calls of services: late, too late, and interrupted', async (t, node) => {
    const client = await hgcmConnect(node, 'VmmctlEcho');
    const delay = [{ type: 'u32', value: 300 }] as const;
    const late = await hgcmCall(node, client, ECHO_FN.DELAY, delay);
    t.equal(late.status, VBOX_STATUS.VINF_SUCCESS);
    const tooLate = hgcmCall(node, client, ECHO_FN.HANG, [], { timeoutMs: 200 });
    t.equal(await codeOf(tooLate), 'ETIMEDOUT');
    const abort = new AbortController();
    const hanging = codeOf(hgcmCall(node, client, ECHO_FN.HANG, [], { signal: abort.signal }));
    await until('the host has the call', () => device.hgcm.commands === 1);
    abort.abort();
    t.equal(await hanging, 'EINTR');
    t.equal(device.hgcm.commands, 0, 'the host knows that nobody waits');
  });

  await test('clients of services: so many, and none when the node is closed', async (t, node) => {
    const other = await guest.open('/dev/vboxuser');
    for (let n = 0; n < CLIENTS_MAX; n++) await hgcmConnect(other, 'VmmctlEcho');
    t.equal(await codeOf(hgcmConnect(other, 'VmmctlEcho')), 'EMFILE');
    const foreign = await hgcmConnect(node, 'VmmctlEcho');
    t.equal(await codeOf(hgcmCall(other, foreign, ECHO_FN.ECHO, [])), 'EINVAL');
    t.equal(device.hgcm.clients, CLIENTS_MAX + 1);
    await other.close();
    t.equal(device.hgcm.clients, 1);
  });
}

function wait(node: DeviceNode, timeoutMs = PATIENCE_MS, signal?: AbortSignal): Promise<number> {
  return waitForEvents(node, VMMDEV_EVENT_VRDP, { timeoutMs, signal });
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'ok';
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return error.code;
  }
}
