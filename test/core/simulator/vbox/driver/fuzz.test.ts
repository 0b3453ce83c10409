/**
 * Anything may be thrown at the nodes: an error or a status comes back, memory that was not named is not touched, all
 * that was taken is given back in the end, and another guest notices nothing.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { SystemError } from '../../../../../src/core/abi/errno.js';
import {
  HGCMFunctionParameter32,
  HGCMFunctionParameter64,
  VMMDEV_HGCM_PARM_TYPE,
} from '../../../../../src/core/abi/hgcm.js';
import { VBGL_IOCTLS, vbg_ioctl_hdr } from '../../../../../src/core/abi/vboxguest.js';
import {
  type Caller,
  type OpenNode,
  ROOT,
  type UserMemory,
} from '../../../../../src/core/simulator/node.js';
import { VBG_IOCTLS } from '../../../../../src/core/simulator/vbox/driver/ioctls.js';
import type { HgcmCall, HgcmService } from '../../../../../src/core/simulator/vbox/hgcm-service.js';
import { argument, Call, realGuest } from './guest.js';

const USER: Caller = { uid: 1000, gid: 1000, groups: [], capabilities: new Set(), jail: '' };
const BASE = 0x10000n;
const MEMORY_BYTES = 0x10000;
const HGCM_CALL_32 = 6;
const HGCM_CALL_64 = 7;
const HGCM_PARAMETERS_AT = 40;

/** A program's memory that knows what the call may touch: what its parameters name. */
class Watched implements UserMemory {
  readonly #ranges: readonly { from: bigint; to: bigint }[];

  constructor(request: number, bytes: Uint8Array | number) {
    this.#ranges = typeof bytes === 'number' ? [] : namedRanges(request, bytes);
  }

  read(address: bigint, length: number): Uint8Array {
    this.#check(address, length);
    return new Uint8Array(length).fill(0x5a);
  }

  write(address: bigint, data: Uint8Array): void {
    this.#check(address, data.length);
  }

  #check(address: bigint, length: number): void {
    const end = address + BigInt(length);
    const named = this.#ranges.some(({ from, to }) => address >= from && end <= to);
    assert.ok(named, `${length} bytes at ${address} were not named`);
    if (address < BASE || end > BASE + BigInt(MEMORY_BYTES)) throw new SystemError('EFAULT');
  }
}

function namedRanges(request: number, bytes: Uint8Array): { from: bigint; to: bigint }[] {
  const nr = request & 0xff;
  if (nr !== HGCM_CALL_32 && nr !== HGCM_CALL_64) return [];
  const layout = nr === HGCM_CALL_32 ? HGCMFunctionParameter32 : HGCMFunctionParameter64;
  const ranges: { from: bigint; to: bigint }[] = [];
  for (let at = HGCM_PARAMETERS_AT; at + layout.size <= bytes.length; at += layout.size) {
    const { size, linearAddr } = layout.decode(bytes.subarray(at));
    const from = BigInt(linearAddr);
    ranges.push({ from, to: from + BigInt(size) });
  }
  return ranges;
}

/** Answers calls at once, late or never, by their function. */
class AnyService implements HgcmService {
  readonly #waiting = new Set<HgcmCall>();

  connect(client: number): number {
    return client % 7 === 0 ? -8 : 0;
  }

  disconnect(client: number): void {
    for (const call of [...this.#waiting]) if (call.client === client) this.#end(call, -39);
  }

  call(call: HgcmCall): void {
    if (call.function % 3 === 0) call.complete(0);
    else this.#waiting.add(call);
  }

  cancelled(call: HgcmCall): void {
    this.#waiting.delete(call);
  }

  reset(): void {
    this.#waiting.clear();
  }

  endOne(): void {
    const [call] = this.#waiting;
    if (call !== undefined) this.#end(call, 0);
  }

  #end(call: HgcmCall, status: number): void {
    this.#waiting.delete(call);
    for (const parameter of call.parameters) {
      if (parameter.type === 'buffer') parameter.data.fill(0x33);
    }
    call.complete(status);
  }
}

const word = fc.oneof(
  fc.constantFrom(0, 1, 2, 4, 5, 6, 10, 20, 24, 32, 0x40, 100, 0x7ff, 0x10000, 0xffffffff),
  fc.integer({ min: 0, max: 0xffffffff }),
);
const size = fc.oneof(
  { weight: 6, arbitrary: fc.constant(undefined) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 300 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 23, 24, 40, 0x400001, 0x1000001, 0xffffffff) },
);
const type = fc.oneof(
  { weight: 3, arbitrary: fc.constant(0) },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 230 }) },
  { weight: 1, arbitrary: word },
);
const known = fc.constantFrom(...VBG_IOCTLS, ...VBG_IOCTLS, ...VBG_IOCTLS);
const foreign = fc.constantFrom(...Object.values(VBGL_IOCTLS));

/** A number and an argument that may fit it, or may not. */
const anyCall = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .record({
        row: known,
        words: fc.array(word, { maxLength: 40 }),
        sizeIn: size,
        sizeOut: size,
        type,
      })
      .map(({ row, words, sizeIn, sizeOut, type }) => {
        const header = {
          type: row.isRequest ? type : type % 5 === 1 ? type : 0,
          sizeIn: sizeIn ?? row.sizes?.in ?? 24 + 4 * words.length,
          sizeOut: sizeOut ?? row.sizes?.out ?? 24 + 4 * words.length,
        };
        const length = Math.min(Math.max(header.sizeIn, header.sizeOut), 4096);
        return { request: row.request, bytes: argument(words, { ...header, length }) };
      }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      request: fc.oneof(foreign, fc.integer({ min: -0x80000000, max: 0xffffffff })),
      bytes: fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.integer()),
    }),
  },
);

const parameter = fc.record({
  type: fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(1, 2, 4, 5, 6) },
    { weight: 1, arbitrary: fc.constantFrom(...Object.values(VMMDEV_HGCM_PARM_TYPE)) },
  ),
  size: fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: 0, max: 9000 }) },
    { weight: 1, arbitrary: fc.constantFrom(0, 0x1800000, 0x1800001, 0xffffffff) },
  ),
  at: fc.oneof(
    { weight: 6, arbitrary: fc.bigInt({ min: BASE, max: BASE + 0x8000n }) },
    { weight: 1, arbitrary: fc.constantFrom(0n, BASE - 1n, 0xfffffffffffffff0n) },
  ),
});

/** A call of HGCM: parameters that fit, a count that may lie, in both forms. */
const hgcmCall = fc
  .record({
    bits: fc.constantFrom(32, 64),
    client: fc.integer({ min: 0, max: 12 }),
    fn: fc.integer({ min: 0, max: 5 }),
    timeoutMs: fc.constantFrom(0, 5, 100, 0xffffffff),
    parameters: fc.array(parameter, { maxLength: 6 }),
    count: fc.oneof(
      { weight: 6, arbitrary: fc.constant(undefined) },
      { weight: 1, arbitrary: fc.constantFrom(0, 32, 33, 0xffff) },
    ),
    sizeIn: size,
  })
  .map(({ bits, client, fn, timeoutMs, parameters, count = parameters.length, sizeIn }) => {
    const wide = bits === 64;
    const encoded = parameters.map((one) =>
      wide
        ? HGCMFunctionParameter64.encode({ ...one, linearAddr: one.at })
        : HGCMFunctionParameter32.encode({ ...one, linearAddr: Number(one.at & 0xffffffffn) }),
    );
    const head = Uint32Array.from([client, fn, timeoutMs, (count << 16) >>> 0]);
    const body = [new Uint8Array(head.buffer), ...encoded].flatMap((part) => [...part]);
    const header = sizeIn === undefined ? {} : { sizeIn, length: Math.min(sizeIn, 4096) };
    const request = wide ? 0xc0005607 : 0xc0005606;
    return { request, bytes: argument(Uint8Array.from(body), header) };
  });

function connectArgument(service: string) {
  const location = new Uint8Array(132);
  location[0] = 2;
  location.set(new TextEncoder().encode(service), 4);
  return { request: 0xc09c5604, bytes: argument(location, { sizeOut: 28 }) };
}

const connectCall = fc.constantFrom('Any', 'Any', 'Any', 'Nobody').map(connectArgument);

type Step =
  | { kind: 'open'; name: 'vboxguest' | 'vboxuser'; caller: Caller }
  | { kind: 'ioctl'; at: number; call: { request: number; bytes: Uint8Array | number } }
  | { kind: 'close' | 'interrupt' | 'advance' | 'events' | 'end'; at: number };

const at = fc.nat(2000);
const simple = fc.constantFrom('close', 'interrupt', 'advance', 'events', 'end');
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: simple, at }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('open' as const),
      name: fc.constantFrom('vboxguest' as const, 'vboxuser' as const),
      caller: fc.constantFrom(ROOT, USER),
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('ioctl' as const),
      at,
      call: fc.oneof(anyCall, hgcmCall, connectCall),
    }),
  },
);

function pick<T>(list: readonly T[], index: number): T | undefined {
  return list[index % Math.max(list.length, 1)];
}

function fuzzGuest() {
  const service = new AnyService();
  const guest = realGuest(new Map([['Any', service]]));
  const nodes: OpenNode[] = [guest.node, guest.driver.open('vboxuser', ROOT)];
  const { free } = guest.pages;
  const { request, bytes } = connectArgument('Any');
  for (const node of nodes) for (let i = 0; i < 3; i++) new Call(node, request, bytes);
  return { ...guest, service, nodes, calls: [] as Call[], free };
}

type FuzzGuest = ReturnType<typeof fuzzGuest>;

function checkedIoctl(node: OpenNode, request: number, bytes: Uint8Array | number): Call {
  const before = typeof bytes === 'number' ? bytes : bytes.slice();
  const call = new Call(node, request, bytes, new Watched(request, bytes));
  assert.deepEqual(bytes, before, 'the argument is as it was');
  if (call.code !== 'ok' || typeof bytes === 'number') return call;
  assert.equal(call.data.length, bytes.length);
  const { size_out } = vbg_ioctl_hdr.decode(call.data);
  assert.deepEqual(call.data.subarray(size_out), bytes.subarray(size_out));
  return call;
}

function run(guest: FuzzGuest, one: Step): void {
  const { nodes, calls } = guest;
  if (one.kind === 'open') nodes.push(guest.driver.open(one.name, one.caller));
  else if (one.kind === 'close') pick(nodes, one.at)?.close();
  else if (one.kind === 'interrupt') pick(calls, one.at)?.interrupt();
  else if (one.kind === 'advance') guest.advance(one.at);
  else if (one.kind === 'events') guest.device.raiseEvents(one.at & 0x7ff);
  else if (one.kind === 'end') guest.service.endOne();
  else if (one.kind === 'ioctl') {
    const node = pick(nodes, one.at);
    if (node !== undefined) calls.push(checkedIoctl(node, one.call.request, one.call.bytes));
  }
}

/** What another guest could notice. */
function noticed({ driver, device, pages, kernelLog, hostLog, deadlines }: FuzzGuest) {
  const { chunkMs, balloonChunks, running } = driver;
  const { balloon, guest, events, hgcm, heartbeat } = device;
  const books = { balloon, guest, events, hgcm, heartbeat, chunkMs, balloonChunks, running };
  return { ...books, free: pages.free, logs: [...kernelLog, ...hostLog], due: deadlines.size };
}

t.test('random calls of many programs leave the books right, and another guest alone', async () => {
  const other = fuzzGuest();
  const before = structuredClone(noticed(other));
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 80 }), (steps) => {
      const guest = fuzzGuest();
      for (const one of steps) {
        try {
          run(guest, one);
        } catch (error) {
          if (!(error instanceof SystemError)) throw error;
        }
      }
      for (const node of guest.nodes) node.close();
      guest.advance(10_000);
      assert.ok(
        guest.calls.every(({ code }) => code !== 'waits'),
        'nobody waits for ever',
      );
      assert.equal(guest.pages.free, guest.free, 'all memory is given back');
      assert.deepEqual(guest.device.hgcm, { clients: 0, commands: 0 });
      assert.ok(guest.driver.running);
      const node = guest.driver.open('vboxguest', ROOT);
      assert.equal(new Call(node, 0xc018560b, argument([])).code, 'ok');
      assert.deepEqual(noticed(other), before);
    }),
    { numRuns: 300 },
  );
});

t.test('any bytes for each number: an error or an answer, and nothing else', async () => {
  const guest = fuzzGuest();
  const numbers = fc.oneof(
    known.map(({ request }) => request),
    foreign,
    fc.integer({ min: 0, max: 0xffffffff }),
  );
  fc.assert(
    fc.property(
      numbers,
      fc.uint8Array({ maxLength: 200 }),
      fc.boolean(),
      (request, bytes, fits) => {
        // Most would fail at the version, so that nothing behind it is looked at.
        if (fits) bytes.set([bytes.length & 0xff, 0, 0, 0, 1, 0, 1, 0].slice(0, bytes.length));
        const call = checkedIoctl(guest.node, request, bytes);
        call.interrupt();
        assert.notEqual(call.code, 'waits');
      },
    ),
    { numRuns: 3000 },
  );
});
