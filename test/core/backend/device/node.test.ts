/** What the device backend adds to a node: memory that an argument has addresses of, and waiting by poll(2). */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { connectDevice } from '../../../../src/core/backend/device/backend.js';
import { openNode } from '../../../../src/core/backend/device/node.js';
import type { CallOptions, DeviceNode } from '../../../../src/core/backend/port/node.js';
import { loadKoffi } from '../../../../src/core/native/koffi.js';
import { type Libc, loadLibc } from '../../../../src/core/native/libc.js';

/** A C library whose ioctl does what a driver does: it follows the addresses in its argument. */
async function driver(follow: (addresses: bigint[], view: (at: bigint) => Uint8Array) => number) {
  const [libc, koffi] = await Promise.all([loadLibc(), loadKoffi()]);
  const view = (at: bigint) => new Uint8Array(koffi.view(at, 4));
  const answering: Libc = {
    ...libc,
    ioctl: (_fd, _request, argument) => {
      const { buffer } = argument as Uint8Array;
      return follow([...new BigUint64Array(buffer)], view);
    },
  };
  const reactor = () => Promise.reject(new Error('nothing is waited for'));
  return openNode({ libc: answering, reactor, trace: undefined }, '/dev/null', {});
}

t.test('an ioctl reads and writes the memory that its argument points to', async (t) => {
  const node = await driver(([given = 0n, , answer = 0n], view) => {
    view(answer).set(view(given).map((byte) => byte + 1));
    return 7;
  });
  const whole = Buffer.from([0, 0, 0, 1, 2, 3, 4]);
  const answer = new Uint8Array(4);
  const argument = new Uint8Array(24).fill(9);
  const pointers = [
    { at: 0, to: whole.subarray(3) },
    { at: 16, to: answer },
  ];
  const { result, data } = await node.ioctl(1, argument, { pointers });
  t.equal(result, 7);
  t.same(answer, Uint8Array.from([2, 3, 4, 5]));
  t.same(data.subarray(8, 16), argument.subarray(8, 16));
  t.ok(
    argument.every((byte) => byte === 9),
    'the caller keeps its bytes',
  );
  await node.close();
});

t.test('no bytes are nowhere', async (t) => {
  const node = await driver(([address]) => Number(address));
  const pointers = [{ at: 0, to: new Uint8Array(0) }];
  t.equal((await node.ioctl(1, new Uint8Array(8).fill(9), { pointers })).result, 0);
  await node.close();
});

async function poll(node: DeviceNode, options?: CallOptions): Promise<void> {
  if (node.poll === undefined) throw new Error('it has no poll');
  await node.poll(options);
}

t.test('a node is waited for until it is readable', async (t) => {
  const directory = t.testdir();
  const path = join(directory, 'fifo');
  execFileSync('mkfifo', [path]);
  const backend = await connectDevice({});
  t.teardown(() => backend.close());
  const node = await backend.machine('host').open(path);
  const waiting = poll(node);
  await t.rejects(poll(node), { code: 'EBUSY' }, 'one at a time');
  writeFileSync(path, 'x');
  await waiting;
  await poll(node);
  t.pass('and at once while it is readable');
  await node.close();
  await t.rejects(poll(node), { code: 'EBADF' });
});

t.test('a signal, and the end of the node, end the wait', async (t) => {
  const path = join(t.testdir(), 'fifo');
  execFileSync('mkfifo', [path]);
  const backend = await connectDevice({});
  t.teardown(() => backend.close());
  const machine = backend.machine('host');
  const node = await machine.open(path);
  const controller = new AbortController();
  const waiting = poll(node, { signal: controller.signal });
  controller.abort();
  await t.rejects(waiting, { code: 'EINTR' });
  const { signal } = controller;
  await t.rejects(poll(node, { signal }), { code: 'EINTR' });
  const closed = poll(node);
  await node.close();
  await t.rejects(closed, { code: 'EBADF' });
  const file = join(t.testdir({ file: '' }), 'file');
  const regular = await machine.open(file);
  await t.rejects(poll(regular), { code: 'EPERM' }, 'it has no poll');
  await regular.close();
});
