/**
 * Anything may be thrown at the nodes: an error or a status comes back, memory that was not named is not touched, all
 * that was taken is given back in the end, and another guest notices nothing.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { SystemError } from '../../../../../src/core/abi/errno.js';
import { vbg_ioctl_hdr } from '../../../../../src/core/abi/vboxguest.js';
import { type Caller, type OpenNode, ROOT } from '../../../../../src/core/simulator/node.js';
import type { HgcmCall, HgcmService } from '../../../../../src/core/simulator/vbox/hgcm-service.js';
import {
  anyCall,
  connectArgument,
  connectCall,
  foreign,
  hgcmCall,
  known,
  Watched,
} from './arbitrary-calls.js';
import { argument, Call, realGuest } from './guest.js';

const USER: Caller = { uid: 1000, gid: 1000, groups: [], capabilities: new Set(), jail: '' };
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
