/**
 * Anything may be in a guest's memory: no request throws, writes outside of itself and the pages that it names, or is
 * felt by another VM.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { VMMDEV_REQUEST_TYPE, VMMDevRequestHeader } from '../../../../../src/core/abi/vmmdev.js';
import { REQUESTS } from '../../../../../src/core/simulator/vbox/device/requests.js';
import type { HgcmCall } from '../../../../../src/core/simulator/vbox/hgcm-service.js';
import {
  callBytes,
  client,
  type Parameter,
  pageList,
  TestService,
} from '../../../../helpers/hgcm.js';
import { MIB, Rig } from '../../../../helpers/vmmdev.js';

const PAGE = 4096;
const RAM = 2 * MIB;
const ARENA_PAGES = 48;
const ARENA_SIZE = ARENA_PAGES * PAGE;
const { VMMDevReq_HGCMCall32, VMMDevReq_HGCMCall64 } = VMMDEV_REQUEST_TYPE;

/** From where to where memory may change. */
type Range = readonly [start: number, end: number];

/** A guest with memory that is full of canaries, a client, and a watch on what changes. */
class Watched {
  readonly service = new TestService(6);
  readonly rig = new Rig({
    size: RAM,
    services: new Map([['Test', this.service]]),
    config: { hgcmHeapBudget: MIB },
  });
  readonly id = client(this.rig, 'Test');
  readonly arena: number;
  /** What calls that wait may still write. */
  readonly #open = new Map<HgcmCall, Range[]>();
  #before: Uint8Array;

  constructor() {
    const arena = this.rig.memory.allocate(ARENA_SIZE);
    assert.ok(arena !== undefined);
    this.arena = arena;
    this.#before = Uint8Array.from({ length: ARENA_SIZE }, (_, i) => (i * 31) % 253);
    this.rig.memory.write(arena, this.#before);
  }

  /** The guest writes bytes somewhere and points the device to them. */
  request(address: number, bytes: Uint8Array): void {
    if (address + bytes.length <= RAM) this.rig.memory.write(address, bytes);
    const end = this.arena + ARENA_SIZE;
    const allowed = mayChange(this.rig, address).filter(
      ([from, to]) => from < end && to > this.arena,
    );
    // A disconnect ends calls that wait.
    this.#watch([...allowed, ...[...this.#open.values()].flat()], () => {
      this.rig.device.writeRequest(address);
    });
    for (const call of this.service.waiting) {
      if (!this.#open.has(call)) this.#open.set(call, allowed);
    }
  }

  complete(index: number): void {
    const [call] = this.service.waiting.splice(index % Math.max(1, this.service.waiting.length), 1);
    if (call === undefined) return;
    this.#watch(this.#open.get(call) ?? [], () => call.complete(0));
  }

  reset(): void {
    this.#watch([], () => this.rig.device.reset());
    this.rig.report();
  }

  #watch(allowed: readonly Range[], act: () => void): void {
    this.#before = this.rig.memory.read(this.arena, ARENA_SIZE);
    act();
    const now = this.rig.memory.read(this.arena, ARENA_SIZE);
    if (Buffer.compare(now, this.#before) === 0) return;
    for (const [from, to] of allowed) {
      const start = Math.max(0, from - this.arena);
      const stop = Math.min(ARENA_SIZE, to - this.arena);
      now.set(this.#before.subarray(start, stop), start);
    }
    if (Buffer.compare(now, this.#before) === 0) return;
    const at = now.findIndex((byte, i) => byte !== this.#before[i]);
    assert.fail(`byte ${at} of the arena has changed, which is none of the request's`);
  }
}

/** What a request may change, read the simplest way: where something is cut off nothing is allowed. */
function mayChange({ memory }: Rig, address: number): Range[] {
  if (address + 24 > RAM) return [];
  const header = VMMDevRequestHeader.decode(memory.read(address, 24));
  if (header.size < 24 || header.version !== 0x10001) return [];
  const end = Math.min(address + header.size, RAM);
  const ranges: Range[] = [[address, header.size > MIB ? address + 24 : end]];
  const type = header.requestType;
  if (type !== VMMDevReq_HGCMCall32 && type !== VMMDevReq_HGCMCall64) return ranges;
  const view = new DataView(memory.read(address, end - address).buffer);
  const word = (at: number) => (at + 4 <= view.byteLength ? view.getUint32(at, true) : 0);
  const each = type === VMMDevReq_HGCMCall64 ? 16 : 12;
  for (let i = 0; i < Math.min(word(40), 32); i++) {
    const parameter = 44 + i * each;
    const list = word(parameter + 8);
    if (![10, 12, 13].includes(word(parameter)) || list + 8 > view.byteLength) continue;
    const count = view.getUint16(list + 6, true);
    for (let j = 0; j < count && list + 16 + 8 * j <= view.byteLength; j++) {
      const frame = Number(view.getBigUint64(list + 8 + 8 * j, true) & ~0xfffn);
      const offset = view.getUint16(list + 4, true);
      const isContiguous = word(parameter) === 12;
      const length = isContiguous ? offset + word(parameter + 4) : PAGE;
      ranges.push([frame, frame + length]);
    }
  }
  return ranges;
}

/** Numbers at which code goes wrong. */
const word = fc.oneof(
  fc.nat(64),
  fc.constantFrom(0xff, 0xfff, 0x1000, 0x1001, 0xffff, 0x10000, 0xfffff, 0x100000, 0x100001),
  fc.constantFrom(128 * MIB, 128 * MIB + 1, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff),
  fc.nat(0xffffffff),
);
/** In the arena, mostly. */
const place = fc.oneof(
  { weight: 6, arbitrary: fc.nat(ARENA_PAGES - 1).map((page) => ({ page, skip: 0 })) },
  {
    weight: 2,
    arbitrary: fc.record({ page: fc.nat(ARENA_PAGES - 1), skip: fc.nat(PAGE - 1) }),
  },
);
const page = fc.oneof(
  { weight: 30, arbitrary: place.map(({ page: at, skip }) => ({ at, skip })) },
  { weight: 1, arbitrary: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(0n, BigInt(RAM), BigInt(RAM - PAGE), 2n ** 53n, 2n ** 63n),
  },
);
type Page = bigint | { at: number; skip: number };

interface ListRecipe {
  readonly type: number;
  readonly size: number;
  readonly flags: number;
  readonly offset: number;
  readonly pages: readonly Page[];
  readonly count: number | undefined;
}

/** What makes sense most of the time: a call with one thing wrong is refused as a whole. */
function mostly<T>(right: fc.Arbitrary<T>, wrong: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return fc.oneof({ weight: 15, arbitrary: right }, { weight: 1, arbitrary: wrong });
}

const listRecipe: fc.Arbitrary<ListRecipe> = fc.record({
  type: fc.constantFrom(10, 10, 12, 13),
  size: mostly(fc.oneof(fc.nat(3 * PAGE), fc.constantFrom(0, 1, PAGE, 2 * PAGE)), word),
  flags: mostly(fc.constantFrom(1, 2, 3), word),
  offset: mostly(fc.oneof(fc.constant(0), fc.nat(PAGE - 1)), fc.nat(0xffff)),
  pages: mostly(fc.array(page, { minLength: 1, maxLength: 4 }), fc.constant<Page[]>([])),
  count: mostly<number | undefined>(fc.constant(undefined), fc.nat(0xffff)),
});
const plain: fc.Arbitrary<Parameter> = fc.record({
  type: fc.oneof(fc.nat(15), word),
  first: word,
  second: word,
  extra: fc.uint8Array({ maxLength: 40 }),
});
const number: fc.Arbitrary<Parameter> = fc.record({ type: fc.constantFrom(1, 2), first: word });
const embedded: fc.Arbitrary<Parameter> = fc
  .record({
    flags: mostly(fc.constantFrom(1, 2, 3), fc.nat(255)),
    offset: fc.integer({ min: 44, max: 250 }),
    size: fc.nat(60),
  })
  .map(({ flags, offset, size }) => ({
    type: 11,
    first: (flags | (offset << 8)) >>> 0,
    second: size,
    extra: new Uint8Array(48),
  }));
const callRecipe = fc.record({
  wide: fc.boolean(),
  number: fc.constantFrom(1, 1, 2, 3),
  client: fc.oneof(
    { weight: 8, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: word },
  ),
  count: fc.oneof({ weight: 8, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: word }),
  parameters: fc.array(
    fc.oneof(
      { weight: 8, arbitrary: listRecipe.map((list) => ({ list })) },
      { weight: 1, arbitrary: plain.map((parameter) => ({ parameter })) },
      { weight: 4, arbitrary: embedded.map((parameter) => ({ parameter })) },
      { weight: 4, arbitrary: number.map((parameter) => ({ parameter })) },
    ),
    { maxLength: 4 },
  ),
});

const mutations = fc.array(fc.record({ at: fc.nat(400), byte: fc.nat(255) }), { maxLength: 4 });
const type = fc.oneof(fc.constantFrom(...REQUESTS.keys()), word);
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('call' as const),
      recipe: callRecipe,
      place,
      size: fc.option(word, { nil: undefined, freq: 8 }),
      mutations: fc.oneof(fc.constant([]), mutations),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('bytes' as const),
      type,
      body: fc.uint8Array({ maxLength: 500 }),
      // The right size of a row, if the type has one.
      fits: fc.boolean(),
      place,
      size: fc.option(word, { nil: undefined, freq: 6 }),
      mutations: fc.oneof(fc.constant([]), mutations),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('complete' as const), at: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('again' as const), address: word }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reset' as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

function addressOf({ arena }: Watched, at: Page): bigint {
  return typeof at === 'bigint' ? at : BigInt(arena + at.at * PAGE + at.skip);
}

function bytesOf(watched: Watched, one: Extract<Step, { kind: 'call' | 'bytes' }>): Uint8Array {
  let bytes: Uint8Array;
  let number: number;
  if (one.kind === 'call') {
    const { wide, number: fn, client: id = watched.id, count, parameters } = one.recipe;
    number = wide ? VMMDevReq_HGCMCall64 : VMMDevReq_HGCMCall32;
    const all = parameters.map((each) => {
      if ('parameter' in each) return each.parameter;
      const { count: told, pages, ...list } = each.list;
      const named = { ...list, pages: pages.map((at) => addressOf(watched, at)) };
      return pageList(told === undefined ? named : { ...named, count: told });
    });
    bytes = callBytes(id, fn, all, count === undefined ? { wide } : { wide, count });
  } else {
    number = one.type;
    const rule = REQUESTS.get(number)?.size;
    const right = rule && ('least' in rule ? rule.least : rule.exact[0]);
    bytes = new Uint8Array(Math.max(24, one.fits && right !== undefined ? right : one.body.length));
    bytes.set(one.body.subarray(0, bytes.length));
  }
  const size = one.size ?? bytes.length;
  bytes.set(VMMDevRequestHeader.encode({ size, version: 0x10001, requestType: number, rc: 999 }));
  for (const { at, byte } of one.mutations) bytes[at % bytes.length] = byte;
  return bytes;
}

function run(watched: Watched, one: Step): void {
  if (one.kind === 'reset') watched.reset();
  else if (one.kind === 'complete') watched.complete(one.at);
  else if (one.kind === 'again') watched.request(one.address, new Uint8Array(0));
  else {
    const bytes = bytesOf(watched, one);
    const address = watched.arena + one.place.page * PAGE + one.place.skip;
    watched.request(address, bytes);
  }
}

/** All that can be seen of a device. */
function portrait({ device, lines, interrupt, memory }: Rig, arena: number): string {
  const { events, balloon, statistics, heartbeat, guest, hgcm } = device;
  const seen = { events, balloon, statistics, heartbeat, guest, hgcm, lines, interrupt };
  const contents = Buffer.from(memory.read(arena, ARENA_SIZE)).toString('latin1');
  return JSON.stringify(seen) + contents;
}

t.test('random requests stay in their bounds, and no other VM notices', async () => {
  const other = new Watched();
  const before = portrait(other.rig, other.arena);
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const watched = new Watched();
      for (const one of steps) {
        run(watched, one);
        const { hgcm } = watched.rig.device;
        assert.ok(hgcm.commands <= watched.service.maxCalls * Math.max(1, hgcm.clients));
        assert.ok(watched.rig.deadlines.size <= 1);
      }
      assert.ok(watched.rig.lines.length <= 200 + 50 + 50 + 50 + 16 + 10 + 10);
    }),
    { numRuns: 200 },
  );
  assert.equal(portrait(other.rig, other.arena), before);
});

t.test(
  'whatever is in a request of the right size, it gets a status and nothing more',
  async () => {
    const rows = [...REQUESTS.values()].filter(({ number }) => number !== 5);
    const request = fc.constantFrom(...rows).chain((row) => {
      const [least, most] =
        'least' in row.size
          ? [row.size.least, row.size.least + 200]
          : [row.size.exact[0] ?? 24, row.size.exact[0] ?? 24];
      return fc.record({
        number: fc.constant(row.number),
        bytes: fc.uint8Array({ minLength: least, maxLength: most }),
      });
    });
    const watched = new Watched();
    fc.assert(
      fc.property(request, ({ number, bytes }) => {
        const head = { size: bytes.length, version: 0x10001, requestType: number, rc: 999 };
        const whole = bytes.slice();
        whole.set(VMMDevRequestHeader.encode(head));
        watched.request(watched.arena + PAGE, whole);
        const after = VMMDevRequestHeader.decode(watched.rig.memory.read(watched.arena + PAGE, 24));
        assert.notEqual(after.rc, 999);
        assert.equal(after.size, bytes.length);
        // A guest may lock itself out with a version that nobody speaks.
        if (!watched.rig.device.guest.isReady) watched.rig.report();
      }),
      { numRuns: 1500 },
    );
  },
);

t.test('a device survives what comes at its ports', async () => {
  const watched = new Watched();
  const { device } = watched.rig;
  device.readFastIrqAck();
  fc.assert(
    fc.property(fc.integer(), fc.integer(), (a, b) => {
      device.writeRequest(a);
      device.writeLog(a & 0xff);
      assert.equal(device.readFastIrqAck() >>> 0, 0);
      const inside = a >= 0 && b >= 0 && a + b <= 4 * MIB;
      if (inside) assert.equal(device.readRam(a, b).length, b);
      else assert.throws(() => device.readRam(a, b), RangeError);
    }),
    { numRuns: 1000 },
  );
});
