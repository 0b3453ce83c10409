/** Calls of HGCM that the host answers late, and how they are cancelled. */
import t from 'tap';
import { VBOX_HGCM_REQ_CANCELLED } from '../../../../../src/core/abi/hgcm.js';
import { VBOX_STATUS } from '../../../../../src/core/abi/vbox-err.js';
import { type Call, startedGuest } from './guest.js';
import { call, connect, FOREVER, waitingGuest } from './hgcm-calls.js';
import { later } from './scripted-device.js';

const MIB = 1024 * 1024;
const { VERR_NOT_FOUND, VERR_NOT_IMPLEMENTED, VERR_SEM_DESTROYED, VERR_GENERAL_FAILURE } =
  VBOX_STATUS;

t.test('late: the call waits until the host sets DONE and raises its event', async (t) => {
  const { node, device, pages, last, free } = waitingGuest();
  const answer = call(node, [{ u32: 1 }]);
  t.equal(answer.code, 'waits');
  device.complete(last(), 5);
  t.equal(answer.code, 'ok');
  t.equal(answer.rc, 5);
  t.equal(pages.free, free);
});

t.test('late: an event without DONE ends nothing', async (t) => {
  const { node, device } = waitingGuest();
  const answer = call(node);
  device.raise(0x2);
  t.equal(answer.code, 'waits');
});

t.test(
  'late: a call that was done before the host answered the request does not wait',
  async (t) => {
    const { node, device } = waitingGuest();
    device.on('VMMDevReq_HGCMCall64', (view) => {
      view.setUint32(24, 1, true);
      view.setInt32(28, 9, true);
      return VBOX_STATUS.VINF_HGCM_ASYNC_EXECUTE;
    });
    const answer = call(node, [], { timeoutMs: 0 });
    t.equal(answer.code, 'ok');
    t.equal(answer.rc, 9);
  },
);

t.test('late: many calls wait, and each ends with its own', async (t) => {
  const { node, device, last } = waitingGuest();
  const first = call(node);
  const one = last();
  const second = call(node);
  const two = last();
  device.complete(two, 2);
  t.strictSame([first.code, second.code], ['waits', 'ok']);
  device.complete(one, 1);
  t.strictSame([first.rc, second.rc], [1, 2]);
});

t.test(
  "late: an event that a program took away is made up for by the time-out's look",
  async (t) => {
    const { node, device, advance, last } = waitingGuest();
    const answer = call(node, [], { timeoutMs: 100 });
    device.complete(last(), 4, true);
    t.equal(answer.code, 'waits');
    advance(100);
    t.equal(answer.code, 'ok');
    t.equal(answer.rc, 4);
    t.strictSame(device.of('VMMDevReq_HGCMCancel2'), []);
  },
);

for (const [why, code] of [
  ['time-out', 'ETIMEDOUT'],
  ['signal', 'EINTR'],
] as const) {
  /** Ends the wait of a call that was given 100 ms. */
  const end = (answer: Call, advance: (ms: number) => void) => {
    if (why === 'time-out') advance(100);
    else answer.interrupt();
  };

  t.test(
    `cancel, ${why}: the request is cancelled by its address, and the call is ${code}`,
    async (t) => {
      const { node, device, advance, last, pages, free, deadlines } = waitingGuest();
      const before = deadlines.size;
      const answer = call(node, [{ type: 6, size: 10, address: 0n }], { timeoutMs: 100 });
      advance(99);
      t.equal(answer.code, 'waits');
      end(answer, why === 'time-out' ? () => advance(1) : advance);
      t.equal(answer.code, code);
      const [cancel] = device.of('VMMDevReq_HGCMCancel2');
      t.equal(cancel?.requestor, 1);
      t.equal(
        new DataView(cancel?.bytes.buffer ?? new ArrayBuffer(28)).getUint32(24, true),
        last().address,
      );
      t.equal(pages.free, free);
      t.equal(deadlines.size, before);
    },
  );

  t.test(
    `cancel, ${why}: a host that does not know Cancel2 gets Cancel on the request itself`,
    async (t) => {
      const { node, device, advance, last } = waitingGuest();
      device.refuse('VMMDevReq_HGCMCancel2', VERR_NOT_IMPLEMENTED);
      const answer = call(node, [], { timeoutMs: 100 });
      end(answer, advance);
      t.equal(answer.code, code);
      const [cancel] = device.of('VMMDevReq_HGCMCancel');
      t.equal(cancel?.address, last().address);
      t.equal((cancel?.bytes[24] ?? 0) & VBOX_HGCM_REQ_CANCELLED, VBOX_HGCM_REQ_CANCELLED);
    },
  );

  for (const [rc, name, graceMs] of [
    [VERR_NOT_FOUND, 'NOT_FOUND', 500],
    [VERR_SEM_DESTROYED, 'SEM_DESTROYED', 500],
    [VERR_GENERAL_FAILURE, 'GENERAL_FAILURE', 2000],
  ] as const) {
    t.test(
      `cancel, ${why}: ${name} waits ${graceMs} ms more; done by then is a success`,
      async (t) => {
        const { node, device, advance, last, pages, free } = waitingGuest();
        device.refuse('VMMDevReq_HGCMCancel2', rc);
        const answer = call(node, [], { timeoutMs: 100 });
        end(answer, advance);
        advance(graceMs - 1);
        t.equal(answer.code, 'waits');
        answer.interrupt();
        t.equal(answer.code, 'waits', 'no signal ends it now');
        device.complete(last(), 6);
        t.equal(answer.code, 'ok');
        t.equal(answer.rc, 6);
        t.equal(pages.free, free);
      },
    );

    t.test(
      `cancel, ${why}: ${name} and ${graceMs} ms without an end leaks the request, ${code}`,
      async (t) => {
        const { node, device, advance, last, pages, free, kernelLog } = waitingGuest();
        device.refuse('VMMDevReq_HGCMCancel2', rc);
        const answer = call(node, [{ type: 6, size: 10, address: 0n }], { timeoutMs: 100 });
        end(answer, advance);
        advance(graceMs);
        t.equal(answer.code, code);
        t.match(kernelLog.at(-1), /cancellation failed, leaking the request$/);
        t.ok(pages.free < free, 'the host may still write to it');
        device.complete(last(), 0);
        t.equal(answer.code, code);
      },
    );
  }

  t.test(`cancel, ${why}: Cancel that is INVALID_PARAMETER counts as NOT_FOUND`, async (t) => {
    const { node, device, advance } = waitingGuest();
    device.refuse('VMMDevReq_HGCMCancel2', VERR_NOT_IMPLEMENTED);
    device.refuse('VMMDevReq_HGCMCancel', VBOX_STATUS.VERR_INVALID_PARAMETER);
    const answer = call(node, [], { timeoutMs: 100 });
    end(answer, advance);
    advance(499);
    t.equal(answer.code, 'waits');
    advance(1);
    t.equal(answer.code, code);
  });
}

t.test('timeout 0 of a call that the host answers later is ETIMEDOUT at once', async (t) => {
  const { node, device } = waitingGuest();
  t.equal(call(node, [], { timeoutMs: 0 }).code, 'ETIMEDOUT');
  t.equal(device.of('VMMDevReq_HGCMCancel2').length, 1);
});

t.test('timeout 0xffffffff has no limit', async (t) => {
  const { node, advance } = waitingGuest();
  const answer = call(node, [], { timeoutMs: FOREVER });
  advance(86_400_000);
  t.equal(answer.code, 'waits');
});

t.test('the byte `interruptible` is not looked at', async (t) => {
  const { node } = waitingGuest();
  const answer = call(node);
  answer.interrupt();
  t.equal(answer.code, 'EINTR');
});

t.test('cancelling does not need memory', async (t) => {
  const guest = startedGuest(2 * MIB);
  connect(guest.node);
  guest.device.on('VMMDevReq_HGCMCall64', later);
  const answer = call(guest.node);
  while (guest.pages.allocate(4096) !== undefined);
  answer.interrupt();
  t.equal(answer.code, 'EINTR');
});

t.test('reset: requests that were leaked are free again', async (t) => {
  const { node, device, driver, advance, pages, free } = waitingGuest();
  device.refuse('VMMDevReq_HGCMCancel2', VERR_GENERAL_FAILURE);
  call(node, [], { timeoutMs: 1 });
  advance(3000);
  t.ok(pages.free < free);
  driver.reset();
  t.equal(pages.free, free);
});

t.test('reset: calls that wait are gone, with their deadlines', async (t) => {
  const { node, driver, advance, device } = waitingGuest();
  const answer = call(node, [], { timeoutMs: 100 });
  driver.reset();
  t.equal(answer.code, 'ENODEV');
  device.seen.length = 0;
  advance(1000);
  t.strictSame(device.of('VMMDevReq_HGCMCancel2'), []);
});
