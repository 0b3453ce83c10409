import t from 'tap';
import { VMMDEV_HGCM_PARM_TYPE } from '../../../../../src/core/abi/hgcm.js';
import { VBOX_STATUS } from '../../../../../src/core/abi/vbox-err.js';
import {
  call,
  client,
  outcome,
  type PageList,
  type Parameter,
  pageList,
  TestService,
} from '../../../../helpers/hgcm.js';
import { MIB, Rig } from '../../../../helpers/vmmdev.js';

const { VERR_INVALID_FLAGS, VERR_INVALID_PARAMETER, VERR_INVALID_POINTER, VERR_NO_MEMORY } =
  VBOX_STATUS;
const {
  VMMDevHGCMParmType_ContiguousPageList: CONTIGUOUS,
  VMMDevHGCMParmType_Embedded: EMBEDDED,
  VMMDevHGCMParmType_NoBouncePageList: NO_BOUNCE,
  VMMDevHGCMParmType_PageList: PAGE_LIST,
} = VMMDEV_HGCM_PARM_TYPE;
const PAGE = 4096;

/** A guest with a client, and buffers that hold 1, 2, 3, ... */
class Bench {
  readonly rig: Rig;
  readonly id: number;

  constructor(options: ConstructorParameters<typeof Rig>[0] = {}) {
    this.rig = new Rig({ services: new Map([['Test', new TestService()]]), ...options });
    this.id = client(this.rig, 'Test');
  }

  buffer(pages: number): number {
    const address = this.rig.memory.allocate(pages * PAGE);
    if (address === undefined) throw new Error('no memory for a buffer');
    this.rig.memory.write(address, counting(pages * PAGE));
    return address;
  }

  /** Function 1, which turns buffers round. */
  turn(...parameters: Parameter[]) {
    return call(this.rig, this.id, 1, parameters);
  }

  /** The status with which a page list is refused. */
  refused(list: PageList): number {
    return this.turn(pageList(list)).rc;
  }
}

function counting(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i % 255) + 1);
}

t.test('type 10: pages are one buffer, in the order of the list', async (t) => {
  const bench = new Bench();
  const at = bench.buffer(3);
  const pages = [at + 2 * PAGE, at];
  const size = PAGE + 10;
  const answered = bench.turn(pageList({ size, offset: 100, pages }));
  t.equal(outcome(answered).result, 0);
  const all = counting(3 * PAGE);
  const first = all.subarray(2 * PAGE + 100);
  const second = all.subarray(0, size - first.length);
  const turned = Uint8Array.of(...first, ...second).reverse();
  const after = bench.rig.memory.read(at, 3 * PAGE);
  t.same(after.subarray(2 * PAGE + 100), turned.subarray(0, PAGE - 100));
  t.same(after.subarray(0, 110), turned.subarray(PAGE - 100));
  t.same(after.subarray(110, 2 * PAGE + 100), all.subarray(110, 2 * PAGE + 100));
  t.equal(answered.view.getUint32(48, true), size);
});

t.test('a buffer goes the ways that its flags say', async (t) => {
  for (const type of [PAGE_LIST, CONTIGUOUS, NO_BOUNCE]) {
    for (const [flags, expected] of [
      [1, [1, 2, 3, 4]],
      [2, [0, 0, 0, 0]],
      [3, [4, 3, 2, 1]],
    ] as const) {
      const bench = new Bench();
      const at = bench.buffer(1);
      bench.turn(pageList({ type, size: 4, flags, pages: [at] }));
      t.same([...bench.rig.memory.read(at, 5)], [...expected, 5], `type ${type}, flags ${flags}`);
    }
  }
});

t.test(
  'type 10: a list may have fewer pages than the buffer, and then the rest is zeros',
  async (t) => {
    const bench = new Bench();
    const at = bench.buffer(2);
    t.equal(outcome(bench.turn(pageList({ size: 2 * PAGE, pages: [at] }))).result, 0);
    const after = bench.rig.memory.read(at, 2 * PAGE);
    t.ok(after.subarray(0, PAGE).every((byte) => byte === 0));
    t.same(after.subarray(PAGE), counting(2 * PAGE).subarray(PAGE), 'what is beyond is left alone');
  },
);

t.test('type 10: a list may have more pages than the buffer', async (t) => {
  const bench = new Bench();
  const at = bench.buffer(1);
  t.equal(outcome(bench.turn(pageList({ size: 2, pages: [at, 0xfffffffff000] }))).result, 0);
  t.same([...bench.rig.memory.read(at, 3)], [2, 1, 3]);
});

t.test('type 12: one address stands for all', async (t) => {
  const bench = new Bench();
  const at = bench.buffer(3);
  const size = 2 * PAGE + 5;
  const answered = bench.turn(pageList({ type: CONTIGUOUS, size, offset: 7, pages: [at] }));
  t.equal(outcome(answered).result, 0);
  t.equal(answered.view.getUint32(48, true), size);
  const all = counting(3 * PAGE);
  t.same(bench.rig.memory.read(at + 7, size), all.slice(7, 7 + size).reverse());
  t.same(bench.rig.memory.read(at, 7), all.slice(0, 7));
  t.equal(
    bench.refused({ type: CONTIGUOUS, size: 2 * PAGE, pages: [at, at + PAGE] }),
    VERR_INVALID_PARAMETER,
  );
});

t.test('type 13: the list has exactly the pages of the buffer, on their borders', async (t) => {
  const bench = new Bench();
  const at = bench.buffer(2);
  const list = (change: Partial<PageList>) =>
    bench.turn(
      pageList({ type: NO_BOUNCE, size: PAGE, offset: 8, pages: [at, at + PAGE], ...change }),
    ).rc;
  t.equal(list({}), 2903);
  t.equal(list({ pages: [at + 8, at + PAGE] }), 2903, 'the first may have the offset in it');
  t.equal(list({ pages: [at + 9, at + PAGE] }), VERR_INVALID_POINTER);
  t.equal(list({ pages: [at, at + PAGE + 8] }), VERR_INVALID_POINTER);
  t.equal(list({ pages: [at] }), VERR_INVALID_PARAMETER);
  t.equal(list({ size: PAGE - 8 }), VERR_INVALID_PARAMETER);
});

t.test('page lists that lie are refused', async (t) => {
  const bench = new Bench();
  const at = bench.buffer(1);
  for (const type of [PAGE_LIST, CONTIGUOUS, NO_BOUNCE]) {
    const list = { type, size: 16, pages: [at] };
    const refused = (change: Partial<PageList>) => bench.refused({ ...list, ...change });
    t.equal(refused({ count: 0 }), VERR_INVALID_PARAMETER, 'no page');
    t.equal(refused({ count: 2 }), VERR_INVALID_PARAMETER, 'more pages than there are');
    t.equal(refused({ count: 0xffff }), VERR_INVALID_PARAMETER);
    t.equal(refused({ pages: [], count: 1 }), VERR_INVALID_PARAMETER, 'not even one address');
    t.equal(refused({ offset: 4096 }), VERR_INVALID_PARAMETER, 'an offset beyond the page');
    t.equal(refused({ flags: 0 }), VERR_INVALID_FLAGS);
    t.equal(refused({ flags: 4 }), VERR_INVALID_FLAGS);
    t.equal(refused({ flags: 0xffffffff }), VERR_INVALID_FLAGS);
    t.equal(refused({ size: 128 * MIB + 1 }), VERR_INVALID_PARAMETER);
    t.equal(refused({ size: 0xffffffff }), VERR_INVALID_PARAMETER);
    const outside = [64 * MIB, 2n ** 63n, 2n ** 64n - 4096n, 2n ** 53n];
    for (const page of outside) t.equal(refused({ pages: [page] }), VERR_INVALID_PARAMETER);
  }
  const last = { type: CONTIGUOUS, size: PAGE + 1, pages: [64 * MIB - PAGE] };
  t.equal(bench.refused(last), VERR_INVALID_PARAMETER, 'it goes on where RAM ends');
  t.same(bench.rig.memory.read(at, PAGE), counting(PAGE), 'nothing was written');
  t.same(bench.rig.device.hgcm, { clients: 1, commands: 0 });
});

t.test('a list has to stand behind the parameters, within the request', async (t) => {
  const bench = new Bench();
  const at = bench.buffer(1);
  const { extra } = pageList({ size: 4, pages: [at] });
  if (extra === undefined) throw new Error('a page list has pages');
  const behind = 44 + 16;
  for (const [second, rc] of [
    [behind, 2903],
    [behind - 1, VERR_INVALID_PARAMETER],
    [0, VERR_INVALID_PARAMETER],
    [behind + 1, VERR_INVALID_PARAMETER],
    [0xffffffff, VERR_INVALID_PARAMETER],
  ] as const) {
    t.equal(bench.turn({ type: PAGE_LIST, first: 4, second, extra }).rc, rc, `${second}`);
  }
});

t.test('type 11: data stand in the request', async (t) => {
  const bench = new Bench();
  const behind = 44 + 16;
  const embedded = (flags: number, offset: number, size: number) =>
    bench.turn({
      type: EMBEDDED,
      first: (flags | (offset << 8)) >>> 0,
      second: size,
      extra: Uint8Array.of(1, 2, 3, 4),
    });
  for (const [flags, expected] of [
    [1, [1, 2, 3, 4]],
    [2, [1, 0, 0, 0]],
    [3, [1, 4, 3, 2]],
  ] as const) {
    const answered = embedded(flags, behind + 1, 3);
    t.equal(outcome(answered).result, 0);
    t.same([...answered.bytes.subarray(behind)], expected, `flags ${flags}`);
    t.equal(answered.view.getUint32(52, true), 3);
  }
  t.equal(embedded(3, behind + 4, 0).rc, 2903, 'none may stand at the end');
  for (const [flags, offset, size, rc] of [
    [0, behind, 4, VERR_INVALID_FLAGS],
    [4, behind, 4, VERR_INVALID_FLAGS],
    [3, behind - 1, 4, VERR_INVALID_PARAMETER],
    [3, behind + 1, 4, VERR_INVALID_PARAMETER],
    [3, behind, 5, VERR_INVALID_PARAMETER],
    [3, 0xffffff, 4, VERR_INVALID_PARAMETER],
    [3, behind, 0xffffffff, VERR_INVALID_PARAMETER],
    [3, behind, 128 * MIB + 1, VERR_INVALID_PARAMETER],
  ] as const) {
    t.equal(embedded(flags, offset, size).rc, rc, `${flags}, ${offset}, ${size}`);
  }
});

t.test('types 4 to 9: only an empty buffer can have a linear address', async (t) => {
  const bench = new Bench();
  for (const type of [4, 5, 6]) {
    t.equal(outcome(bench.turn({ type, first: 0, second: 0 })).result, 0, `type ${type}`);
    t.equal(bench.turn({ type, first: 1, second: 4096 }).rc, VERR_INVALID_PARAMETER);
  }
  for (const type of [0, 3, 7, 8, 9, 14, 0xffffffff]) {
    t.equal(bench.turn({ type, first: 0, second: 0 }).rc, VERR_INVALID_PARAMETER, `type ${type}`);
  }
});

t.test('all buffers of a call are 128 MiB at most: NO_MEMORY', async (t) => {
  const bench = new Bench({ config: { hgcmHeapBudget: 1024 * MIB } });
  const at = bench.buffer(1);
  const huge = pageList({ size: 100 * MIB, flags: 1, pages: [at] });
  t.equal(outcome(bench.turn(huge)).result, 0);
  t.equal(bench.turn(huge, huge).rc, VERR_NO_MEMORY);
  t.equal(bench.refused({ size: 128 * MIB, flags: 1, pages: [at] }), VERR_NO_MEMORY);
  t.equal(outcome(bench.turn(huge)).result, 0, 'it held nothing');
  const poor = new Bench({ config: { hgcmHeapBudget: 32 * MIB } });
  t.equal(poor.refused({ size: 33 * MIB, flags: 1, pages: [poor.buffer(1)] }), VERR_NO_MEMORY);
});

t.test('two parameters may share their pages: the last one is what stays', async (t) => {
  const bench = new Bench();
  const at = bench.buffer(1);
  const two = pageList({ size: 2, pages: [at] });
  const four = pageList({ size: 4, pages: [at] });
  t.equal(outcome(bench.turn(two, four)).result, 0);
  t.same([...bench.rig.memory.read(at, 4)], [4, 3, 2, 1]);
});
