/** Memory for a guest: it is written, read by the system, and given back. */
import { closeSync, openSync, readSync } from 'node:fs';
import { constants } from 'node:os';
import t from 'tap';
import { GuestMemory } from '../../../src/core/native/guest-memory.js';

const PAGE = 4096;
/** More than an ArrayBuffer can have. */
const LARGE = 2 ** 33;
const skip = process.platform !== 'linux' && 'it is for Linux';

t.test('what is written stands there, and only inside', { skip }, async (t) => {
  const memory = await GuestMemory.map(2 * PAGE);
  if (typeof memory === 'number') throw new Error(`mmap = ${memory}`);
  t.equal(memory.length, 2 * PAGE);
  memory.write(PAGE - 2, Uint8Array.of(1, 2, 3, 4));
  memory.write(0, new Uint8Array(0));
  const self = openSync('/proc/self/mem', 'r');
  t.teardown(() => closeSync(self));
  const seen = new Uint8Array(8);
  readSync(self, seen, 0, seen.length, memory.address + BigInt(PAGE - 4));
  t.same([...seen], [0, 0, 1, 2, 3, 4, 0, 0]);
  for (const offset of [-1, 2 * PAGE - 3, 2 * PAGE, 2 ** 40]) {
    t.throws(() => memory.write(offset, new Uint8Array(4)), RangeError, String(offset));
  }
  t.equal(memory.unmap(), 0);
  t.equal(memory.unmap(), 0, 'once');
  t.throws(() => memory.write(0, Uint8Array.of(1)), RangeError, 'not after that');
});

t.test('more than there are addresses, and nothing, are refused', { skip }, async (t) => {
  t.equal(await GuestMemory.map(2 ** 52), -constants.errno.ENOMEM);
  t.equal(await GuestMemory.map(0), -constants.errno.EINVAL);
  const large = await GuestMemory.map(LARGE);
  if (typeof large === 'number') throw new Error(`mmap = ${large}`);
  large.write(LARGE - 1, Uint8Array.of(1));
  t.equal(large.unmap(), 0);
});
