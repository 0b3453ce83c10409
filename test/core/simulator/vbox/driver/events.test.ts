/** WAIT_FOR_EVENTS and INTERRUPT_ALL, and what the interrupt makes of the events. */
import t from 'tap';
import { VBOX_STATUS } from '../../../../../src/core/abi/vbox-err.js';
import type { OpenNode } from '../../../../../src/core/simulator/node.js';
import { ROOT } from '../../../../../src/core/simulator/node.js';
import { argument, Call, realGuest, startedGuest } from './guest.js';

const FOREVER = 0xffffffff;
const DISPLAY = 0x4;
const JUDGE = 0x8;
const RESTORED = 0x10;

function wait(node: OpenNode, events: number, timeoutMs = FOREVER): Call {
  return new Call(node, 0xc020560a, argument([timeoutMs, events], { sizeOut: 28 }));
}

function interruptAll(node: OpenNode): Call {
  return new Call(node, 0xc018560b, argument([]));
}

t.test('interrupt: without have_events the host is not asked', async (t) => {
  const { driver, device } = startedGuest();
  driver.interrupt();
  t.strictSame(device.types(), []);
});

t.test('interrupt: events are fetched by request 41', async (t) => {
  const { device } = startedGuest();
  device.raise(DISPLAY);
  t.strictSame(device.types(), [41]);
});

t.test(
  'interrupt: a host that refuses request 41 is told in the log, and there are no events',
  async (t) => {
    const { device, node, kernelLog } = startedGuest();
    device.refuse('VMMDevReq_AcknowledgeEvents', VBOX_STATUS.VERR_NOT_SUPPORTED);
    device.raise(DISPLAY);
    t.strictSame(kernelLog, ['Error performing events req, rc: -37']);
    t.equal(wait(node, DISPLAY, 0).code, 'ETIMEDOUT');
  },
);

for (const [event, name] of [
  [0x2, 'HGCM'],
  [0x40, 'BALLOON_CHANGE_REQUEST'],
  [0x200, 'MOUSE_POSITION_CHANGED'],
] as const) {
  t.test(`interrupt: ${name} is the driver's own and reaches no program`, async (t) => {
    const { device, node } = startedGuest();
    const call = wait(node, 0xffffffff);
    device.raise(event);
    t.equal(call.code, 'waits');
  });
}

t.test('interrupt: MOUSE_POSITION_CHANGED has the position fetched', async (t) => {
  const { device } = startedGuest();
  device.raise(0x200);
  t.strictSame(device.types(), [41, 1]);
});

for (const bit of [0, 2, 3, 4, 5, 7, 8, 10]) {
  t.test(`interrupt: event ${bit} is for programs`, async (t) => {
    const { device, node } = startedGuest();
    const call = wait(node, 1 << bit);
    device.raise(1 << bit);
    t.equal(call.code, 'ok');
    t.equal(call.word(24), 1 << bit);
  });
}

t.test('interrupt: one that comes while a request is answered is taken after it', async (t) => {
  const { device, node } = startedGuest();
  const call = wait(node, DISPLAY);
  device.on('VMMDevReq_GetHostTime', () => {
    device.raise(DISPLAY);
    t.equal(device.of('VMMDevReq_AcknowledgeEvents').length, 0, 'not in the middle of it');
    return 0;
  });
  t.equal(new Call(node, 0x5603, argument([0, 0], { type: 10 })).code, 'ok');
  t.strictSame(device.types(), [10, 41]);
  t.equal(call.code, 'ok');
});

t.test('interrupt: another one during request 41 is taken after it', async (t) => {
  const { device, node } = startedGuest();
  let again = true;
  device.on('VMMDevReq_AcknowledgeEvents', (view) => {
    view.setUint32(24, device.events, true);
    device.events = 0;
    if (again) device.raise(JUDGE);
    again = false;
    return 0;
  });
  const first = wait(node, DISPLAY);
  const second = wait(node, JUDGE);
  device.raise(DISPLAY);
  t.strictSame([first.code, second.code], ['ok', 'ok']);
  t.strictSame(device.types(), [41, 41]);
});

t.test('wait: events that are there already are taken at once, also with timeout 0', async (t) => {
  const { device, node } = startedGuest();
  device.raise(DISPLAY | JUDGE);
  const call = wait(node, DISPLAY, 0);
  t.equal(call.code, 'ok');
  t.equal(call.rc, 0);
  t.equal(call.word(24), DISPLAY, 'only those of the mask');
  t.equal(wait(node, JUDGE, 0).word(24), JUDGE, 'the others stay');
});

t.test('wait: timeout 0 without an event is ETIMEDOUT', async (t) => {
  const { node } = startedGuest();
  const call = wait(node, DISPLAY, 0);
  t.equal(call.code, 'ETIMEDOUT');
  t.equal(call.data.length, 0, 'the buffer is as it was');
});

t.test('wait: a time-out is over to the millisecond', async (t) => {
  const { node, advance, deadlines } = startedGuest();
  const before = deadlines.size;
  const call = wait(node, DISPLAY, 1000);
  advance(999);
  t.equal(call.code, 'waits');
  advance(1);
  t.equal(call.code, 'ETIMEDOUT');
  t.equal(deadlines.size, before);
});

t.test('wait: 0xffffffff has no limit, nor what is negative as an int', async (t) => {
  const { node, advance, deadlines } = startedGuest();
  const before = deadlines.size;
  const calls = [0xffffffff, 0xfffffffe, 0x80000000].map((ms) => wait(node, DISPLAY, ms));
  t.equal(deadlines.size, before, 'nothing will ever be due');
  const limited = wait(node, DISPLAY, 3_600_000);
  advance(3_600_000);
  t.strictSame(
    calls.map(({ code }) => code),
    ['waits', 'waits', 'waits'],
  );
  t.equal(limited.code, 'ETIMEDOUT');
});

t.test('wait: an event before the end of the time cancels the time-out', async (t) => {
  const { node, device, advance, deadlines } = startedGuest();
  const before = deadlines.size;
  const call = wait(node, DISPLAY, 1000);
  device.raise(DISPLAY);
  t.equal(call.code, 'ok');
  t.equal(deadlines.size, before);
  advance(2000);
  t.equal(call.code, 'ok');
});

t.test('wait: a signal is EINTR', async (t) => {
  const { node, deadlines } = startedGuest();
  const before = deadlines.size;
  const call = wait(node, DISPLAY, 1000);
  call.interrupt();
  t.equal(call.code, 'EINTR');
  t.equal(call.data.length, 0);
  t.equal(deadlines.size, before);
});

t.test('wait: mask 0 only waits', async (t) => {
  const { node, device, advance } = startedGuest();
  const call = wait(node, 0, 10);
  device.raise(0x5bd);
  t.equal(call.code, 'waits');
  advance(10);
  t.equal(call.code, 'ETIMEDOUT');
});

t.test('wait: the mask is not looked at, but only real events come', async (t) => {
  const { node, device } = startedGuest();
  const call = wait(node, 0xffffffff);
  t.equal(call.code, 'waits');
  device.raise(DISPLAY);
  t.equal(call.word(24), DISPLAY);
});

t.test(
  'wait: the first who waits takes the event, the loser waits for the rest of its time',
  async (t) => {
    const { driver, node, device, advance } = startedGuest();
    const other = driver.open('vboxuser', ROOT);
    const first = wait(node, DISPLAY, 1000);
    const loser = wait(other, DISPLAY, 1000);
    advance(600);
    device.raise(DISPLAY);
    t.equal(first.code, 'ok');
    t.equal(loser.code, 'waits');
    advance(399);
    t.equal(loser.code, 'waits');
    advance(1);
    t.equal(loser.code, 'ETIMEDOUT');
  },
);

t.test('wait: two who want different events each get theirs', async (t) => {
  const { node, device } = startedGuest();
  const one = wait(node, DISPLAY | JUDGE);
  const two = wait(node, DISPLAY | RESTORED);
  device.raise(DISPLAY | RESTORED);
  t.equal(one.word(24), DISPLAY);
  t.equal(two.word(24), RESTORED);
});

t.test("wait: a session's filter is not needed", async (t) => {
  const { driver, node, device } = startedGuest();
  const other = driver.open('vboxguest', ROOT);
  new Call(other, 0xc020560c, argument([DISPLAY, 0], { sizeOut: 24 }));
  device.raise(DISPLAY);
  t.equal(wait(node, DISPLAY, 0).word(24), DISPLAY);
  t.equal(wait(other, DISPLAY, 0).code, 'ETIMEDOUT', 'though it was the other that asked for it');
});

t.test('wait: events that nobody waited for are kept, and are for one', async (t) => {
  const { node, device } = startedGuest();
  device.raise(RESTORED);
  device.raise(RESTORED);
  t.equal(wait(node, RESTORED, 0).code, 'ok');
  t.equal(wait(node, RESTORED, 0).code, 'ETIMEDOUT');
});

t.test('INTERRUPT_ALL: waits of the node end with EINTR, also those to come', async (t) => {
  const { node, device } = startedGuest();
  const one = wait(node, DISPLAY);
  const two = wait(node, 0, 1000);
  t.equal(interruptAll(node).code, 'ok');
  t.equal(one.code, 'EINTR');
  t.equal(two.code, 'EINTR');
  t.equal(wait(node, DISPLAY).code, 'EINTR');
  t.equal(wait(node, DISPLAY, 0).code, 'EINTR');
  device.raise(DISPLAY);
  t.equal(wait(node, DISPLAY, 0).code, 'EINTR', 'even with an event');
});

t.test('INTERRUPT_ALL: other nodes go on waiting, and get the event', async (t) => {
  const { driver, node, device } = startedGuest();
  const other = driver.open('vboxguest', ROOT);
  const call = wait(other, DISPLAY);
  interruptAll(node);
  t.equal(call.code, 'waits');
  device.raise(DISPLAY);
  t.equal(call.word(24), DISPLAY);
});

t.test('INTERRUPT_ALL: a node that is opened anew can wait', async (t) => {
  const { driver, node } = startedGuest();
  interruptAll(node);
  node.close();
  t.equal(wait(driver.open('vboxguest', ROOT), DISPLAY).code, 'waits');
});

t.test('close: a wait ends with EINTR', async (t) => {
  const { node, deadlines } = startedGuest();
  const before = deadlines.size;
  const call = wait(node, DISPLAY, 1000);
  node.close();
  t.equal(call.code, 'EINTR');
  t.equal(deadlines.size, before);
});

t.test('wait: who waits again as soon as it has an event loses none', async (t) => {
  const { node, device } = startedGuest();
  const got: number[] = [];
  const next = () => {
    const call = wait(node, DISPLAY | JUDGE);
    call.pending?.onFinish((outcome) => {
      if (!(outcome instanceof Error)) got.push(outcome.data?.[24] ?? 0);
      if (got.length < 3) next();
    });
  };
  next();
  device.raise(DISPLAY);
  device.raise(JUDGE | DISPLAY);
  device.raise(JUDGE);
  t.strictSame(got, [DISPLAY, JUDGE | DISPLAY, JUDGE]);
});

t.test(
  'the real device: an event comes only when a session asks for it, then at once',
  async (t) => {
    const { device, node } = realGuest();
    const call = wait(node, RESTORED);
    device.raiseEvents(RESTORED);
    t.equal(call.code, 'waits', 'the host holds it back');
    t.equal(new Call(node, 0xc020560c, argument([RESTORED, 0], { sizeOut: 24 })).code, 'ok');
    t.equal(call.word(24), RESTORED);
  },
);
