import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Duplex, duplexPair, Readable, Writable } from 'node:stream';
import t from 'tap';
import {
  FileSink,
  FileSource,
  type Sink,
  StreamSink,
  StreamSource,
} from '../../../src/core/relay/bytes.js';
import { type End, streamEnd } from '../../../src/core/relay/end.js';
import { relay } from '../../../src/core/relay/relay.js';

const never = new AbortController().signal;

/** Two ends in memory: what is written to one is read from the other. */
const pair = (): [Duplex, Duplex] => duplexPair() as unknown as [Duplex, Duplex];

async function drain(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString();
}

t.test('bytes go both ways, and each end of input is passed on', async (t) => {
  const [left, leftFar] = pair();
  const [right, rightFar] = pair();
  const done = relay(streamEnd(left), streamEnd(right), { signal: never });
  leftFar.end('to the right');
  rightFar.end('and to the left');
  const [atRight, atLeft] = await Promise.all([drain(rightFar), drain(leftFar)]);
  t.equal(atRight, 'to the right');
  t.equal(atLeft, 'and to the left');
  t.strictSame(await done, { sent: 12, received: 15 });
});

t.test('an end that hangs up ends the reading for it', async (t) => {
  const [left, far] = pair();
  far.resume();
  let hangUp: () => void = () => undefined;
  const hungUp = new Promise<void>((resolve) => {
    hangUp = resolve;
  });
  const silent: End = {
    source: { pump: async () => undefined },
    sink: { write: () => undefined, end: async () => undefined },
    hungUp,
    destroy: () => undefined,
  };
  const done = relay(streamEnd(left), silent, { signal: never });
  hangUp();
  t.strictSame(await done, { sent: 0, received: 0 }, 'although the left end never ends');
});

t.test('how a connection ended says more than the pipe that broke with it', async (t) => {
  const broken: End = {
    source: { pump: async () => undefined },
    sink: {
      write: () => {
        throw Object.assign(new Error('write EPIPE'), { code: 'EPIPE' });
      },
      end: async () => undefined,
    },
    ended: Promise.reject(Object.assign(new Error('reset'), { code: 'ECONNRESET' })),
    destroy: () => undefined,
  };
  const [left, far] = pair();
  far.end('x');
  await t.rejects(relay(streamEnd(left), broken, { signal: never }), { code: 'ECONNRESET' });
});

t.test('an aborted relay lets go of both ends', async (t) => {
  const controller = new AbortController();
  const [left] = pair();
  const [right] = pair();
  const done = relay(streamEnd(left), streamEnd(right), { signal: controller.signal });
  controller.abort(new Error('enough'));
  await t.rejects(done, { message: 'enough' });
  t.ok(left.destroyed);
  t.ok(right.destroyed);
});

t.test('a slow sink stops its source', async (t) => {
  const waiting: (() => void)[] = [];
  const slow = new Writable({
    highWaterMark: 1,
    write: (_chunk, _encoding, done) => waiting.push(done),
  });
  const source = new Readable({ read: () => undefined });
  const moved: number[] = [];
  const pump = new StreamSource(source).pump(new StreamSink(slow), never, (n) => moved.push(n));
  source.push('one');
  source.push('two');
  await new Promise((resolve) => setImmediate(resolve));
  t.strictSame(moved, [3], 'the second piece is not taken before the first is written');
  source.push(null);
  while (waiting.length > 0 || moved.length < 2) {
    waiting.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await pump;
  t.strictSame(moved, [3, 3]);
});

/** A sink that is at a piece until it is told that it has it. */
function slowSink(): { sink: Sink; took: () => void } {
  let took: () => void = () => undefined;
  const taken = new Promise<void>((resolve) => {
    took = resolve;
  });
  return { sink: { write: () => taken, end: async () => undefined }, took: () => took() };
}

for (const [what, stop, expected] of [
  ['ends', (source: Readable) => source.push(null), 'resolved'],
  ['closes', (source: Readable) => source.destroy(), 'resolved'],
  ['breaks', (source: Readable) => source.destroy(new Error('reset')), 'reset'],
] as const) {
  t.test(`a source that ${what} waits until its last piece is written`, async (t) => {
    const { sink, took } = slowSink();
    const source = new Readable({ read: () => undefined });
    let outcome = 'waits';
    const pump = new StreamSource(source)
      .pump(sink, never, () => stop(source))
      .then(() => 'resolved')
      .catch((error) => error.message)
      .then((how) => {
        outcome = how;
      });
    const closed = new Promise((resolve) => source.once('close', resolve));
    source.push('last');
    await closed;
    t.equal(outcome, 'waits');
    took();
    await pump;
    t.equal(outcome, expected);
  });
}

t.test('a source that is stopped does not wait for its last piece', async () => {
  const stop = new AbortController();
  const source = new Readable({ read: () => undefined });
  source.push('last');
  await new StreamSource(source).pump(slowSink().sink, stop.signal, () => {
    setImmediate(() => stop.abort());
  });
});

t.test('a file goes into a file whole, also when it is larger than a piece', async (t) => {
  const directory = t.testdir();
  const [from, to] = [join(directory, 'from'), join(directory, 'to')];
  const bytes = Buffer.alloc(5_000_003, 'abcdefg');
  writeFileSync(from, bytes);
  const input = openSync(from, 'r');
  const output = openSync(to, 'w');
  let count = 0;
  await new FileSource(input).pump(new FileSink(output), never, (n) => {
    count += n;
  });
  closeSync(input);
  closeSync(output);
  t.equal(count, bytes.length);
  t.ok(readFileSync(to).equals(bytes));
});
