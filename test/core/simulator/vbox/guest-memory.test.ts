import fc from 'fast-check';
import t from 'tap';
import { GuestMemory } from '../../../../src/core/simulator/vbox/guest-memory.js';

const MIB = 2 ** 20;
const PAGE = 4096;

function memoryOf(size: number, reserved?: number): GuestMemory {
  return new GuestMemory(
    reserved === undefined ? { size: () => size } : { size: () => size, reserved: () => reserved },
  );
}

t.test('what is allocated lies above 1 MiB, below 4 GiB, on a page, and is zeroed', async (t) => {
  const memory = memoryOf(8 * 1024 * MIB, 0);
  const first = memory.allocate(5000);
  t.equal(first, MIB);
  t.same(memory.read(MIB, 2 * PAGE), new Uint8Array(2 * PAGE));
  t.equal(memory.allocate(1), MIB + 2 * PAGE);
  t.equal(memory.allocate(5 * 1024 * MIB), undefined, 'so much is nowhere below 4 GiB');
});

t.test('bytes come back as written, across the borders of pages', async (t) => {
  const memory = memoryOf(64 * MIB);
  const address = memory.allocate(3 * PAGE) ?? 0;
  const data = Uint8Array.from({ length: PAGE + 2 }, (_, i) => i % 251);
  memory.write(address + PAGE - 1, data);
  t.same(memory.read(address + PAGE - 1, data.length), data);
  const copy = memory.read(address, 1);
  copy.fill(7);
  t.same(memory.read(address, 1), new Uint8Array(1), 'a read gives a copy');
});

t.test('RAM that nobody allocated reads as zeros and keeps nothing', async (t) => {
  const memory = memoryOf(64 * MIB);
  const address = memory.allocate(PAGE) ?? 0;
  const over = new Uint8Array(3 * PAGE).fill(1);
  memory.write(address - PAGE, over);
  const back = memory.read(address - PAGE, 3 * PAGE);
  t.same(back.subarray(0, PAGE), new Uint8Array(PAGE));
  t.same(back.subarray(PAGE, 2 * PAGE), new Uint8Array(PAGE).fill(1));
  t.same(back.subarray(2 * PAGE), new Uint8Array(PAGE));
});

t.test('where there is no RAM is a RangeError', async (t) => {
  const memory = memoryOf(2 * MIB);
  for (const [address, length] of [
    [2 * MIB, 1],
    [2 * MIB - 1, 2],
    [-1, 1],
    [0, -1],
    [0.5, 1],
    [Number.NaN, 1],
    [2 ** 60, 1],
  ] as const) {
    t.throws(() => memory.read(address, length), RangeError, `${address}+${length}`);
  }
  t.throws(() => memory.write(2 * MIB - 1, new Uint8Array(2)), RangeError);
  t.same(memory.read(2 * MIB, 0), new Uint8Array(0));
});

t.test('what is released can be had again; to release anything else is a RangeError', async (t) => {
  const memory = memoryOf(2 * MIB, 0);
  const free = memory.free;
  const address = memory.allocate(PAGE) ?? 0;
  memory.write(address, Uint8Array.of(1));
  t.throws(() => memory.release(address + PAGE), RangeError);
  t.throws(() => memory.releasePage(address), RangeError);
  memory.release(address);
  t.throws(() => memory.release(address), RangeError);
  t.equal(memory.free, free);
  t.equal(memory.allocate(PAGE), address);
  t.same(memory.read(address, 1), new Uint8Array(1), 'it is zeroed again');
});

t.test('pages come from the top until none is left', async (t) => {
  const memory = memoryOf(2 * MIB, 0);
  t.equal(memory.free, MIB);
  const pages: number[] = [];
  for (let page = memory.allocatePage(); page !== undefined; page = memory.allocatePage()) {
    pages.push(page);
  }
  t.equal(pages.length, MIB / PAGE);
  t.equal(new Set(pages).size, pages.length);
  t.equal(pages[0], 2 * MIB - PAGE);
  t.equal(memory.free, 0);
  t.equal(memory.allocate(1), undefined);
  const some = pages[17] ?? 0;
  memory.releasePage(some);
  t.throws(() => memory.releasePage(some), RangeError);
  t.equal(memory.allocatePage(), some);
});

t.test('the balloon-refuse fault leaves allocate alone', async (t) => {
  const memory = memoryOf(64 * MIB);
  memory.refusesPages = true;
  t.equal(memory.allocatePage(), undefined);
  t.type(memory.allocate(PAGE), 'number');
  memory.refusesPages = false;
  t.type(memory.allocatePage(), 'number');
});

t.test(
  'the kernel holds a sixteenth, 64 MiB at most, so that a balloon of 90 % fits',
  async (t) => {
    for (const mib of [64, 256, 1024, 16384]) {
      const memory = memoryOf(mib * MIB);
      t.ok(memory.free >= (mib * MIB * 9) / 10, `${mib} MiB`);
      t.ok(memory.free < mib * MIB);
    }
    t.equal(memoryOf(0).free, 0);
    t.equal(memoryOf(0).allocatePage(), undefined);
  },
);

t.test('memory that the VM gets later can be had', async (t) => {
  let size = 0;
  const memory = new GuestMemory({ size: () => size });
  t.equal(memory.allocate(1), undefined);
  size = 64 * MIB;
  const page = memory.allocatePage() ?? 0;
  t.equal(page, size - PAGE);
  size = 128 * MIB;
  t.equal(memory.allocatePage(), size - PAGE);
  memory.releasePage(page);
});

t.test('a balloon of a million pages is one run', async (t) => {
  const memory = memoryOf(16 * 1024 * MIB);
  const count = 1_000_000;
  let last = 0;
  for (let i = 0; i < count; i++) last = memory.allocatePage() ?? 0;
  t.equal(last, 16 * 1024 * MIB - count * PAGE);
  for (let i = 0; i < count; i++) memory.releasePage(last + i * PAGE);
  t.equal(memory.free, 16 * 1024 * MIB - 64 * MIB);
});

t.test('random calls never hand out what somebody has', async () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('allocate' as const),
      bytes: fc.integer({ min: 1, max: 40000 }),
    }),
    fc.record({ kind: fc.constant('page' as const) }),
    fc.record({ kind: fc.constant('release' as const), at: fc.nat() }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const memory = memoryOf(2 * MIB, 0);
      const owned: { address: number; bytes: number; isPage: boolean }[] = [];
      const total = memory.free;
      for (const one of steps) {
        if (one.kind === 'release') {
          const [gone] = owned.splice(one.at % Math.max(1, owned.length), 1);
          if (gone?.isPage === true) memory.releasePage(gone.address);
          else if (gone !== undefined) memory.release(gone.address);
        } else {
          const isPage = one.kind === 'page';
          const bytes = isPage ? PAGE : Math.ceil(one.bytes / PAGE) * PAGE;
          const address = isPage ? memory.allocatePage() : memory.allocate(one.bytes);
          if (address !== undefined) owned.push({ address, bytes, isPage });
        }
        const order = [...owned].sort((a, b) => a.address - b.address);
        order.forEach(({ address }, i) => {
          const before = order[i - 1];
          const end = before === undefined ? MIB : before.address + before.bytes;
          if (address < end) throw new Error(`${address} is handed out twice`);
        });
        const held = owned.reduce((sum, { bytes }) => sum + bytes, 0);
        if (memory.free !== total - held) throw new Error('the books are wrong');
      }
    }),
    { numRuns: 200 },
  );
});
