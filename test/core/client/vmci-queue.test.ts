/** Queue pairs as streams: how much is moved, who wakes whom, and how ends end. */
import t from 'tap';
import { SystemError } from '../../../src/core/abi/errno.js';
import { VMCI_RESULT as R } from '../../../src/core/abi/vmci-errors.js';
import { BufferMemory, swapped } from '../../../src/core/abi/vmci-memory.js';
import {
  openQueuePair,
  type QueueEnds,
  queueBytes,
  queuePairBytes,
} from '../../../src/core/abi/vmci-queue.js';
import type { CallOptions } from '../../../src/core/backend/port/node.js';
import type { VmciKernel, VmciQueuePair } from '../../../src/core/backend/port/vmci.js';
import {
  attachQueuePair,
  createQueuePair,
  QueueStream,
} from '../../../src/core/client/vmci-queue.js';

/** An end in this process. */
class TestEnd implements VmciQueuePair {
  readonly handle = { context: 2, resource: 1024 };
  readonly left = new Promise<void>(() => undefined);
  readonly produceSize: number;
  readonly consumeSize: number;
  queues: QueueEnds | undefined;
  peer: VmciQueuePair['peer'] = 'attached';
  peerEnded = false;
  other: TestEnd | undefined;
  /** How often it slept. */
  slept = 0;
  #sleepers: (() => void)[] = [];

  constructor(produceSize: number, consumeSize: number) {
    this.produceSize = produceSize;
    this.consumeSize = consumeSize;
  }

  wake(): void {
    this.other?.waked();
  }

  end(): void {
    if (this.other === undefined) return;
    this.other.peerEnded = true;
    this.other.waked();
  }

  async woken(unless: () => boolean, { signal }: CallOptions = {}): Promise<void> {
    if (signal?.aborted) throw new SystemError('EINTR');
    if (unless()) return;
    this.slept++;
    await new Promise<void>((resolve) => {
      this.#sleepers.push(resolve);
      signal?.addEventListener('abort', () => resolve());
    });
    if (signal?.aborted) throw new SystemError('EINTR');
  }

  async detach(): Promise<void> {
    if (this.other === undefined) return;
    this.other.peer = 'detached';
    this.other.waked();
  }

  waked(): void {
    for (const wake of this.#sleepers.splice(0)) wake();
  }
}

function twoEnds(produceSize = 16, consumeSize = produceSize) {
  const sizes = { produceSize, consumeSize };
  const pages = new BufferMemory(queuePairBytes(sizes));
  const [one, other] = [
    new TestEnd(produceSize, consumeSize),
    new TestEnd(consumeSize, produceSize),
  ];
  one.queues = openQueuePair(pages, sizes);
  other.queues = openQueuePair(swapped(pages, sizes), other);
  [one.other, other.other] = [other, one];
  return { pages, one, other, writer: new QueueStream(one), reader: new QueueStream(other) };
}

const text = (bytes: Uint8Array | undefined) => bytes && new TextDecoder().decode(bytes);
const bytes = (words: string) => new TextEncoder().encode(words);

async function readAll(reader: QueueStream): Promise<string> {
  let all = '';
  for (let piece = await reader.next(); piece !== undefined; piece = await reader.next()) {
    all += text(piece);
    reader.consumed(piece.length);
  }
  return all;
}

t.test('more than the queue holds passes, and the end is known to both', async (t) => {
  const { writer, reader } = twoEnds();
  const words = 'a text that does not fit in sixteen bytes at once, by far';
  const reading = readAll(reader);
  await writer.write(bytes(words));
  await writer.end();
  t.equal(await reading, words);
});

t.test('writing takes what fits', async (t) => {
  const { writer } = twoEnds(8);
  t.equal(writer.writeSome(new Uint8Array(10)), 7);
  t.equal(writer.writeSome(new Uint8Array(10)), 0);
  t.equal(writer.room(), undefined);
});

t.test('bytes can be put into the queue itself', async (t) => {
  const { writer, reader } = twoEnds();
  writer.room()?.set(bytes('in place'));
  writer.filled(8);
  t.equal(text(await reader.next()), 'in place');
});

t.test('a sleeper is waked by bytes, by space, by the end and by leaving', async (t) => {
  const { one, other, writer, reader } = twoEnds(4);
  const first = reader.next();
  await asleep(other);
  writer.writeSome(bytes('abc'));
  t.equal(text(await first), 'abc');
  const space = writer.writable();
  await asleep(one);
  reader.consumed(1);
  await space;
  reader.consumed(2);
  const last = reader.next();
  await asleep(other);
  await writer.end();
  t.equal(await last, undefined);
  const leaving = twoEnds(4);
  const cut = leaving.reader.next();
  await asleep(leaving.other);
  await leaving.writer.detach();
  await t.rejects(cut, { code: 'ECONNRESET' });
});

/** Resolves when an end sleeps; forgets that. */
async function asleep(end: TestEnd): Promise<void> {
  while (end.slept === 0) await new Promise((resolve) => setImmediate(resolve));
  end.slept = 0;
}

t.test('ending waits until all is read', async (t) => {
  const { one, writer, reader } = twoEnds();
  await writer.write(bytes('rest'));
  let over = false;
  const ending = writer.end().then(() => {
    over = true;
  });
  await asleep(one);
  t.notOk(over);
  t.equal(await readAll(reader), 'rest');
  await ending;
});

t.test('what an end had written before it left is read', async (t) => {
  const { writer, reader } = twoEnds();
  await writer.write(bytes('last words'));
  await writer.detach();
  const piece = await reader.next();
  t.equal(text(piece), 'last words');
  reader.consumed(piece?.length ?? 0);
  await t.rejects(reader.next(), { code: 'ECONNRESET' });
});

t.test('nobody writes to one who left', async (t) => {
  const { writer, reader } = twoEnds();
  await writer.write(bytes('unread'));
  await reader.detach();
  t.ok(writer.peerGone);
  t.throws(() => writer.writeSome(bytes('x')), { code: 'EPIPE' });
  t.throws(() => writer.room(), { code: 'EPIPE' });
  await t.rejects(writer.end(), { code: 'EPIPE' }, 'not all was read');
  const done = twoEnds();
  await done.reader.detach();
  await done.writer.end();
});

t.test('waiting can be interrupted', async (t) => {
  const { one, other, writer, reader } = twoEnds(4);
  const stop = new AbortController();
  const options = { signal: stop.signal };
  writer.writeSome(bytes('full'));
  const calls = [writer.writable(options), writer.write(bytes('x'), options)];
  await asleep(one);
  const empty = new TestEnd(4, 4);
  empty.peer = 'none';
  calls.push(new QueueStream(empty).attached(options));
  await asleep(empty);
  stop.abort();
  for (const call of calls) await t.rejects(call, { code: 'EINTR' });
  t.equal(other.slept, 0);
  t.equal(text(await reader.next()), 'ful');
});

t.test('indexes that can not be are an error for both', async (t) => {
  const { pages, writer, reader } = twoEnds();
  const tail = pages.view(8, 8);
  for (const [low, high] of [
    [16, 0],
    [0xff, 0xff],
  ] as const) {
    tail.fill(high);
    tail[0] = low;
    const corrupt = { code: 'EPROTO', cause: { code: 'VMCI_ERROR_INVALID_SIZE' } };
    t.throws(() => writer.writeSome(bytes('x')), corrupt);
    t.throws(() => writer.room(), corrupt);
    await t.rejects(reader.next(), corrupt);
    await t.rejects(writer.end(), corrupt);
  }
  tail.fill(0);
  pages.view(queueBytes(16) + 16, 8).fill(0xff);
  await t.rejects(reader.next(), { code: 'EPROTO' });
});

t.test('a pair is not there before the other end has brought its memory', async (t) => {
  const end = new TestEnd(4, 4);
  end.peer = 'none';
  const stream = new QueueStream(end);
  t.throws(() => stream.writeSome(bytes('x')), { code: 'ECONNRESET' });
  const attached = stream.attached();
  await asleep(end);
  end.peer = 'detached';
  end.waked();
  await t.rejects(attached, { code: 'ECONNRESET' });
});

/** A kernel that only knows one pair, and keeps what it was asked for. */
function kernelWith(contextId: number, records: object[], result = 0) {
  const asked: object[] = [];
  const kernel = {
    contextId,
    async allocQueuePair(wish: object) {
      asked.push(wish);
      return result < 0 ? { result } : { result, pair: new TestEnd(1, 1) };
    },
    queuePairs: async () => records,
  } as unknown as VmciKernel;
  return { kernel, asked };
}

const ANY = 0xffffffff;
const handle = { context: 7, resource: 5 };

t.test('a pair for the same kernel is a local one', async (t) => {
  const sizes = { produceSize: 1, consumeSize: 2 };
  const { kernel, asked } = kernelWith(2, []);
  await createQueuePair(kernel, sizes);
  await createQueuePair(kernel, { ...sizes, peer: 2, handle });
  await createQueuePair(kernel, { ...sizes, peer: 7 });
  t.match(asked, [
    { ...sizes, peer: ANY, flags: 0 },
    { ...sizes, peer: 2, flags: 2, handle },
    { ...sizes, peer: 7, flags: 0 },
  ]);
});

t.test('who attaches writes what the creator reads', async (t) => {
  // Sizes of a record are those of the guest, or of the creator of a local pair.
  const record = { handle, produceSize: 10, consumeSize: 20, flags: 0 };
  const cases = [
    ['the host to a guest', 2, { creator: 7 }, 20],
    ['a guest to its host', 7, { creator: 2 }, 10],
    ['the host to itself, not yet local', 2, { creator: 2 }, 10],
    ['a guest to itself, not yet local', 7, { creator: 7 }, 20],
    ['the host to itself', 2, { creator: 2, flags: 2 }, 20],
  ] as const;
  for (const [name, contextId, change, produceSize] of cases) {
    const { kernel, asked } = kernelWith(contextId, [{ ...record, ...change }]);
    await attachQueuePair(kernel, handle);
    t.match(asked, [{ produceSize, consumeSize: 30 - produceSize, handle }], name);
    t.match(asked, [{ flags: 'flags' in change ? 3 : 1, peer: ANY }]);
  }
});

t.test('results are errors by their meaning', async (t) => {
  const sizes = { produceSize: 1, consumeSize: 1 };
  for (const [result, code] of [
    [R.VMCI_ERROR_NO_RESOURCES, 'ENOBUFS'],
    [R.VMCI_ERROR_NO_ACCESS, 'EACCES'],
    [R.VMCI_ERROR_ALREADY_EXISTS, 'EEXIST'],
    [R.VMCI_ERROR_UNAVAILABLE, 'EBUSY'],
    [R.VMCI_ERROR_DST_UNREACHABLE, 'EHOSTUNREACH'],
    [R.VMCI_ERROR_NO_MEM, 'ENOMEM'],
  ] as const) {
    const { kernel } = kernelWith(2, [], result);
    await t.rejects(createQueuePair(kernel, sizes), { code }, code);
  }
});

t.test('who attaches to a pair that is not listed learns why it can not be had', async (t) => {
  for (const [result, code, message] of [
    [R.VMCI_ERROR_NOT_FOUND, 'EHOSTUNREACH', /no queue pair 7:5/],
    [R.VMCI_ERROR_NO_ACCESS, 'EACCES', /not for this end/],
    [R.VMCI_ERROR_UNAVAILABLE, 'EBUSY', /both ends/],
  ] as const) {
    const { kernel, asked } = kernelWith(8, [], result);
    await t.rejects(attachQueuePair(kernel, handle), { code, message });
    t.match(asked, [{ handle, flags: 1 }]);
  }
});

t.test('a limit is that of the pair, or of all of a guest', async (t) => {
  const { kernel } = kernelWith(7, [], R.VMCI_ERROR_NO_RESOURCES);
  for (const [size, message] of [
    [2 ** 26 + 1, /^a queue pair has at most 128 MiB/],
    [4096, /^all queue pairs of a guest together/],
  ] as const) {
    const wish = { produceSize: size, consumeSize: size };
    await t.rejects(createQueuePair(kernel, wish), { code: 'ENOBUFS', message });
  }
});
