/** What the device backend adds to an ioctl: memory that its argument has addresses of. */
import t from 'tap';
import { openNode } from '../../../../src/core/backend/device/node.js';
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
  return openNode(answering, '/dev/null', {}, undefined);
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
