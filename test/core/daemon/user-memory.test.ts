import t from 'tap';
import { takeMemory, withMemory } from '../../../src/core/backend/simulator/memory.js';
import { SentMemory } from '../../../src/core/daemon/user-memory.js';

const bytes = (...values: number[]) => Uint8Array.from(values);
const EFAULT = { code: 'EFAULT' };
const EINVAL = { code: 'EINVAL' };

/** What a client with two buffers sends. */
function sent() {
  const argument = new Uint8Array(24).fill(0xaa);
  const [first, second] = [bytes(1, 2, 3), bytes(4, 5)];
  const pointers = [
    { at: 0, to: first },
    { at: 16, to: second },
  ];
  const { bytes: binary, memory } = withMemory(argument, pointers);
  const received = SentMemory.split({ memory }, binary);
  const view = new DataView(received.argument.buffer);
  const addresses = [view.getBigUint64(0, true), view.getBigUint64(16, true)] as const;
  return { argument, pointers, received, addresses, first, second };
}

t.test('the argument has the addresses, and is otherwise as it was', async (t) => {
  const { argument, received, addresses } = sent();
  t.same(received.argument.subarray(8, 16), argument.subarray(8, 16));
  t.ok(
    argument.every((byte) => byte === 0xaa),
    'the caller keeps its bytes',
  );
  t.not(addresses[0], addresses[1]);
});

t.test('memory is read and written where it was sent', async (t) => {
  const { received, addresses, pointers, first, second } = sent();
  const { memory } = received;
  t.same(memory.read(addresses[0], 3), bytes(1, 2, 3));
  t.same(memory.read(addresses[0] + 1n, 1), bytes(2));
  t.same(memory.changes().written, []);
  memory.write(addresses[1] + 1n, bytes(9));
  const { written, bytes: changed } = memory.changes();
  t.same(written, [1]);
  const back = takeMemory(written, Buffer.concat([received.argument, ...changed]), pointers);
  t.same(back, received.argument);
  t.same(first, bytes(1, 2, 3));
  t.same(second, bytes(4, 9));
});

t.test('both ranges come back in their order', async (t) => {
  const { received, addresses, pointers, first, second } = sent();
  received.memory.write(addresses[1], bytes(7, 8));
  received.memory.write(addresses[0], bytes(4, 5, 6));
  const { written, bytes: changed } = received.memory.changes();
  takeMemory(written, Buffer.concat([received.argument, ...changed]), pointers);
  t.same([first, second], [bytes(4, 5, 6), bytes(7, 8)]);
});

t.test('outside of what was sent there is nothing', async (t) => {
  const { received, addresses } = sent();
  const { memory } = received;
  const [start] = addresses;
  for (const [address, length] of [
    [start - 1n, 1],
    [start, 4],
    [start + 3n, 1],
    [0n, 1],
    [2n ** 64n - 1n, 1],
    [2n ** 64n - 1n, 2 ** 32],
  ] as const) {
    t.throws(() => memory.read(address, length), EFAULT);
    t.throws(() => memory.write(address, new Uint8Array(Math.min(length, 16))), EFAULT);
  }
  t.same(memory.read(0n, 0), bytes(), 'nothing is anywhere');
  t.same(memory.changes().written, []);
});

t.test('ranges that make no sense are refused', async (t) => {
  const binary = new Uint8Array(8);
  for (const memory of [
    'x',
    [null],
    [{}],
    [{ address: 0, length: -1 }],
    [{ address: 0, length: 1.5 }],
    [{ address: -1, length: 1 }],
    [{ address: 0, length: 9 }],
    [{ address: 0, length: 2 ** 53 }],
    Array.from({ length: 257 }, () => ({ address: 0, length: 0 })),
  ]) {
    t.throws(
      () => SentMemory.split({ memory }, binary),
      EINVAL,
      JSON.stringify(memory).slice(0, 40),
    );
  }
});
