import t from 'tap';
import { VBOX_STATUS } from '../../../../../src/core/abi/vbox-err.js';
import { VMMDEV_EVENT } from '../../../../../src/core/abi/vmmdev.js';
import {
  VMMDevChangeMemBalloon,
  VMMDevGetMemBalloonChangeRequest,
} from '../../../../../src/core/abi/vmmdev-memory.js';
import { VMMDevCtlGuestFilterMask } from '../../../../../src/core/abi/vmmdev-requests.js';
import { codeOf } from '../../../../helpers/vmm.js';
import { MIB, Rig } from '../../../../helpers/vmmdev.js';

const { VERR_INVALID_PARAMETER, VINF_SUCCESS } = VBOX_STATUS;
const { VMMDEV_EVENT_BALLOON_CHANGE_REQUEST: EVENT } = VMMDEV_EVENT;

/** What the guest reads; by default it says that it has read it. */
function read(rig: Rig, eventAck: number = EVENT): { wanted: number; physical: number } {
  const { bytes, rc } = rig.ask(
    'VMMDevReq_GetMemBalloonChangeRequest',
    VMMDevGetMemBalloonChangeRequest,
    { eventAck },
  );
  if (rc !== 0) throw new Error(`GetMemBalloonChangeRequest gave ${rc}`);
  const fields = VMMDevGetMemBalloonChangeRequest.decode(bytes);
  return { wanted: fields.cBalloonChunks, physical: fields.cPhysMemChunks };
}

function pages(first: number, count = 256): Uint8Array {
  const list = new BigUint64Array(count);
  list.forEach((_, i) => {
    list[i] = BigInt(first + i * 4096);
  });
  return new Uint8Array(list.buffer);
}

function change(rig: Rig, inflate: number, list = pages(16 * MIB), cPages = 256): number {
  return rig.ask(
    'VMMDevReq_ChangeMemBalloon',
    VMMDevChangeMemBalloon,
    { cPages, fInflate: inflate },
    list,
  ).rc;
}

t.test('a new target raises the event, and is what the guest reads', async (t) => {
  const rig = new Rig();
  rig.device.setBalloonTarget(20);
  t.equal(rig.device.events.pending, EVENT);
  t.notOk(rig.interrupt, 'the filter does not let it through yet');
  rig.ask('VMMDevReq_CtlGuestFilterMask', VMMDevCtlGuestFilterMask, { u32OrMask: EVENT });
  t.ok(rig.interrupt);
  t.same(read(rig), { wanted: 20, physical: 64 });
  t.same(rig.device.balloon, { targetChunks: 20, actualChunks: 0 });
});

t.test(
  'a target is compared with the last one that the guest read, not the last one set',
  async (t) => {
    const rig = new Rig();
    rig.device.setBalloonTarget(10);
    read(rig);
    rig.device.readFastIrqAck();
    rig.device.setBalloonTarget(20);
    rig.device.setBalloonTarget(10);
    t.equal(rig.device.balloon.targetChunks, 20);
    t.equal(read(rig).wanted, 20);
    rig.device.setBalloonTarget(10);
    t.equal(rig.device.balloon.targetChunks, 10);
  },
);

t.test('request 111: only with the event in event_ack it counts as read', async (t) => {
  const rig = new Rig();
  rig.device.setBalloonTarget(10);
  for (const ack of [0, 1, EVENT | 1]) read(rig, ack);
  rig.device.setBalloonTarget(0);
  t.equal(rig.device.balloon.targetChunks, 10, 'nothing was read, so 0 is what the guest knows');
  read(rig);
  rig.device.setBalloonTarget(0);
  t.equal(rig.device.balloon.targetChunks, 0);
});

t.test('the same target as read raises no event', async (t) => {
  const rig = new Rig();
  rig.device.setBalloonTarget(10);
  read(rig);
  rig.ask('VMMDevReq_CtlGuestFilterMask', VMMDevCtlGuestFilterMask, { u32OrMask: EVENT });
  rig.device.readFastIrqAck();
  rig.device.setBalloonTarget(10);
  t.equal(rig.device.events.pending, 0);
});

t.test('a target is less than nine tenths of RAM', async (t) => {
  const { device } = new Rig({ size: 1024 * MIB });
  t.equal(device.maxBalloonChunks, 920);
  t.equal(
    codeOf(() => device.setBalloonTarget(921)),
    'EINVAL',
  );
  t.equal(
    codeOf(() => device.setBalloonTarget(920)),
    'ok',
  );
  for (const wrong of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 32]) {
    t.equal(
      codeOf(() => device.setBalloonTarget(wrong)),
      'EINVAL',
      `${wrong}`,
    );
  }
  t.throws(
    () => device.setBalloonTarget(1000),
    /a balloon of 1000 MiB: it can have 920 MiB at most/,
  );
  t.equal(new Rig({ size: 64 * MIB }).device.maxBalloonChunks, 56);
});

t.test('request 113: counts chunks up and down', async (t) => {
  const rig = new Rig();
  t.equal(change(rig, 1), VINF_SUCCESS);
  t.equal(change(rig, 7, pages(32 * MIB)), VINF_SUCCESS, 'any value but 0 inflates');
  t.equal(rig.device.balloon.actualChunks, 2);
  t.equal(change(rig, 0), VINF_SUCCESS);
  t.equal(rig.device.balloon.actualChunks, 1);
});

t.test('request 113: takes 256 pages and nothing else', async (t) => {
  const rig = new Rig();
  for (const [list, count] of [
    [pages(16 * MIB), 255],
    [pages(16 * MIB), 257],
    [pages(16 * MIB), 0],
    [pages(16 * MIB), 0xffffffff],
    [pages(16 * MIB, 255), 256],
    [pages(16 * MIB, 257), 256],
    [pages(16 * MIB, 1), 1],
  ] as const) {
    t.equal(change(rig, 1, list, count), VERR_INVALID_PARAMETER, `${list.length / 8}, ${count}`);
  }
  t.equal(rig.device.balloon.actualChunks, 0);
});

t.test('request 113: pages outside of RAM fail, but the count moves', async (t) => {
  const rig = new Rig();
  t.equal(change(rig, 1, pages(64 * MIB - 255 * 4096)), VERR_INVALID_PARAMETER);
  t.equal(rig.device.balloon.actualChunks, 1);
  t.equal(change(rig, 0, pages(16 * MIB + 1)), VERR_INVALID_PARAMETER);
  t.equal(rig.device.balloon.actualChunks, 0);
  const far = new Uint8Array(2048).fill(0xff);
  t.equal(change(rig, 1, far), VERR_INVALID_PARAMETER);
});

t.test("request 113: the count is never what can't be", async (t) => {
  const rig = new Rig();
  change(rig, 0);
  t.equal(rig.device.balloon.actualChunks, 0);
  for (let i = 0; i < 100; i++) change(rig, 1);
  t.equal(rig.device.balloon.actualChunks, 64);
});

t.test('a reset keeps the target, but it counts as not read', async (t) => {
  const rig = new Rig();
  rig.device.setBalloonTarget(10);
  read(rig);
  change(rig, 1);
  rig.device.reset();
  rig.report();
  t.same(rig.device.balloon, { targetChunks: 10, actualChunks: 0 });
  rig.device.setBalloonTarget(10);
  t.equal(rig.device.events.pending, EVENT, 'the guest can be asked again');
});
