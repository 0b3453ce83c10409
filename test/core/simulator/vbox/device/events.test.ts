import t from 'tap';
import { SystemError } from '../../../../../src/core/abi/errno.js';
import { VMMDEV_EVENT } from '../../../../../src/core/abi/vmmdev.js';
import {
  VMMDevCtlGuestFilterMask,
  VMMDevEvents,
} from '../../../../../src/core/abi/vmmdev-requests.js';
import { MIB, Rig } from '../../../../helpers/vmmdev.js';

const {
  VMMDEV_EVENT_BALLOON_CHANGE_REQUEST: BALLOON,
  VMMDEV_EVENT_CPU_HOTPLUG: HOTPLUG,
  VMMDEV_EVENT_DISPLAY_CHANGE_REQUEST: DISPLAY,
  VMMDEV_EVENT_HGCM: HGCM,
  VMMDEV_EVENT_RESTORED: RESTORED,
} = VMMDEV_EVENT;

function filter(rig: Rig, u32OrMask: number, u32NotMask = 0): number {
  return rig.ask('VMMDevReq_CtlGuestFilterMask', VMMDevCtlGuestFilterMask, {
    u32OrMask,
    u32NotMask,
  }).rc;
}

function acknowledge(rig: Rig): number {
  const { bytes } = rig.ask('VMMDevReq_AcknowledgeEvents', VMMDevEvents);
  return VMMDevEvents.decode(bytes).events;
}

function haveEvents(rig: Rig): number | undefined {
  return rig.device.readRam(8, 1)[0];
}

t.test('an event that the filter lets through interrupts, another one waits', async (t) => {
  const rig = new Rig();
  filter(rig, BALLOON);
  rig.device.raiseEvents(RESTORED);
  t.notOk(rig.interrupt);
  t.equal(haveEvents(rig), 0);
  rig.device.raiseEvents(BALLOON);
  t.ok(rig.interrupt);
  t.equal(haveEvents(rig), 1);
  t.same(rig.device.events, { pending: BALLOON | RESTORED, filter: BALLOON });
});

t.test(
  'request 41: gives what passes the filter, clears that, and lowers the interrupt',
  async (t) => {
    const rig = new Rig();
    filter(rig, BALLOON | HOTPLUG);
    rig.device.raiseEvents(BALLOON | HOTPLUG | RESTORED);
    t.equal(acknowledge(rig), BALLOON | HOTPLUG);
    t.notOk(rig.interrupt);
    t.equal(haveEvents(rig), 0);
    t.equal(acknowledge(rig), 0);
    filter(rig, RESTORED);
    t.ok(rig.interrupt, 'what waited comes when the filter lets it through');
    t.equal(acknowledge(rig), RESTORED);
  },
);

t.test('the fast acknowledge does the same in one access', async (t) => {
  const rig = new Rig();
  filter(rig, BALLOON);
  rig.device.raiseEvents(BALLOON | RESTORED);
  t.equal(rig.device.readFastIrqAck(), BALLOON);
  t.notOk(rig.interrupt);
  t.equal(haveEvents(rig), 0);
  t.equal(rig.device.readFastIrqAck(), 0);
});

t.test('the fast acknowledge of a guest that has not reported itself is all ones', async (t) => {
  const rig = new Rig({ reported: false });
  rig.device.raiseEvents(BALLOON);
  t.equal(rig.device.readFastIrqAck(), 0xffffffff);
  t.equal(rig.device.events.pending, BALLOON);
});

t.test('the interrupt rises once while events wait', async (t) => {
  const rig = new Rig();
  filter(rig, BALLOON | HOTPLUG);
  rig.device.raiseEvents(BALLOON);
  rig.setInterrupt(false);
  rig.device.raiseEvents(HOTPLUG);
  t.notOk(rig.interrupt, 'whoever has not acknowledged sees the new ones then');
  t.equal(acknowledge(rig), BALLOON | HOTPLUG);
  rig.device.raiseEvents(HOTPLUG);
  t.ok(rig.interrupt);
});

t.test(
  'request 42: while events wait the new filter counts from the next acknowledge',
  async (t) => {
    const rig = new Rig();
    filter(rig, BALLOON);
    rig.device.raiseEvents(BALLOON | HOTPLUG);
    filter(rig, HOTPLUG);
    filter(rig, 0, BALLOON);
    t.equal(rig.device.events.filter, BALLOON);
    t.equal(acknowledge(rig), HOTPLUG, 'the acknowledge has the new one already');
    t.same(rig.device.events, { pending: BALLOON, filter: HOTPLUG });
  },
);

t.test("request 42: the HGCM bit can't be cleared", async (t) => {
  const rig = new Rig();
  filter(rig, HGCM | BALLOON);
  filter(rig, 0, 0xffffffff);
  t.equal(rig.device.events.filter, HGCM);
  rig.device.raiseEvents(HGCM);
  filter(rig, BALLOON, HGCM);
  acknowledge(rig);
  t.equal(rig.device.events.filter, HGCM | BALLOON, 'nor when the change is put off');
});

t.test('request 42: the or-mask comes before the not-mask', async (t) => {
  const rig = new Rig();
  filter(rig, BALLOON | HOTPLUG, BALLOON);
  t.equal(rig.device.events.filter, HOTPLUG);
});

t.test('a guest that has lost its version of the interface is not interrupted', async (t) => {
  const rig = new Rig();
  filter(rig, BALLOON);
  rig.report(0x20000);
  rig.device.raiseEvents(BALLOON);
  t.notOk(rig.interrupt);
  t.equal(rig.device.readFastIrqAck(), 0xffffffff);
  rig.report();
  t.equal(acknowledge(rig), BALLOON, 'the event has waited');
});

t.test('events that are none are EINVAL', async (t) => {
  const rig = new Rig();
  for (const mask of [0x800, 0x80000000, -1]) {
    t.throws(() => rig.device.raiseEvents(mask), SystemError, `${mask}`);
  }
  t.equal(rig.device.events.pending, 0);
});

t.test('ReportGuestInfo lowers the interrupt, but keeps the events', async (t) => {
  const rig = new Rig();
  filter(rig, BALLOON);
  rig.device.raiseEvents(BALLOON);
  rig.report();
  t.notOk(rig.interrupt);
  t.equal(acknowledge(rig), BALLOON);
});

t.test('a reset forgets filter and events, but for a display change', async (t) => {
  const rig = new Rig();
  filter(rig, BALLOON);
  rig.device.raiseEvents(BALLOON | DISPLAY | RESTORED);
  filter(rig, RESTORED);
  rig.device.reset();
  t.notOk(rig.interrupt);
  t.same(rig.device.events, { pending: DISPLAY, filter: 0 });
  t.equal(haveEvents(rig), 0);
  rig.report();
  t.equal(acknowledge(rig), 0);
  t.equal(rig.device.events.filter, 0, 'a filter that was put off is forgotten too');
});

t.test('VMMDevMemory says how large it is, and is 4 MiB of zeros else', async (t) => {
  const rig = new Rig();
  const words = new DataView(rig.device.readRam(0, 12).buffer);
  t.equal(words.getUint32(0, true), 4193576);
  t.equal(words.getUint32(4, true), 1);
  t.same(rig.device.readRam(5, 2), Uint8Array.of(0, 0));
  t.same(rig.device.readRam(4 * MIB - 2, 2), Uint8Array.of(0, 0));
  t.equal(rig.device.readRam(0, 4 * MIB).length, 4 * MIB);
  for (const [offset, length] of [
    [4 * MIB - 1, 2],
    [-1, 1],
    [0, -1],
  ] as const) {
    t.throws(() => rig.device.readRam(offset, length), RangeError, `${offset}+${length}`);
  }
});
