import fc from 'fast-check';
import t from 'tap';
import { SystemError } from '../../../src/core/abi/errno.js';
import { VMCI_RESULT, VmciResultError } from '../../../src/core/abi/vmci-errors.js';
import {
  encodeFrame,
  errorFromWire,
  errorToWire,
  type Frame,
  FrameReader,
  helloLine,
  MAX_BINARY,
  MAX_JSON,
  parseHello,
  parseObject,
} from '../../../src/core/daemon/wire.js';
import { cutAnywhere } from '../../helpers/chunks.js';

function read(chunks: readonly Uint8Array[]): Frame[] {
  const reader = new FrameReader();
  return chunks.flatMap((chunk) => [...reader.push(chunk)]);
}

/** The head of a frame with these lengths. */
function head(jsonLength: number, binaryLength: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(jsonLength, 0);
  bytes.writeUInt32LE(binaryLength, 4);
  return bytes;
}

t.test('a frame is two lengths, a JSON text, and bytes', async (t) => {
  const binary = Uint8Array.of(0xde, 0xad);
  const encoded = encodeFrame({ a: 'é' }, binary);
  t.equal(Buffer.concat(encoded).toString('hex'), '0a000000020000007b2261223a22c3a9227ddead');
  t.equal(encoded[1], binary, 'the bytes are not copied');
  t.same(read(encoded), [{ json: { a: 'é' }, binary: Buffer.from(binary) }]);
  t.equal(encodeFrame({}).length, 1);
  t.same(read(encodeFrame({})), [{ json: {}, binary: Buffer.alloc(0) }]);
});

t.test('frames may be cut anywhere', async (t) => {
  const frame = fc.record({
    json: fc.dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true }),
    binary: fc.uint8Array({ maxLength: 300 }),
  });
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 8 }),
      fc.array(fc.nat(), { maxLength: 20 }),
      (frames, cuts) => {
        const bytes = Buffer.concat(
          frames.flatMap(({ json, binary }) => encodeFrame(json, binary)),
        );
        const expected = frames.map(({ json, binary }) => ({
          json: JSON.stringify(json),
          binary: Buffer.from(binary).toString('hex'),
        }));
        const got = read(cutAnywhere(bytes, cuts)).map(({ json, binary }) => ({
          json: JSON.stringify(json),
          binary: Buffer.from(binary).toString('hex'),
        }));
        return JSON.stringify(got) === JSON.stringify(expected);
      },
    ),
  );
  const bytes = Buffer.concat([
    ...encodeFrame({ n: 1 }, Uint8Array.of(9)),
    ...encodeFrame({ n: 2 }),
  ]);
  const single = Array.from(bytes, (byte) => Uint8Array.of(byte));
  t.same(
    read(single).map(({ json }) => json),
    [{ n: 1 }, { n: 2 }],
    'byte by byte',
  );
});

t.test('a length that is too large is refused as soon as it is read', async (t) => {
  for (const bytes of [
    head(MAX_JSON + 1, 0),
    head(2, MAX_BINARY + 1),
    head(0xffffffff, 0xffffffff),
  ]) {
    const reader = new FrameReader();
    t.same([...reader.push(bytes.subarray(0, 7))], []);
    t.throws(() => [...reader.push(bytes.subarray(7))], { code: 'EPROTO' });
    t.throws(() => [...reader.push(Uint8Array.of(0))], { code: 'EPROTO' }, 'and stays refused');
  }
});

t.test('the largest lengths are allowed', async (t) => {
  const reader = new FrameReader();
  t.same([...reader.push(head(MAX_JSON, MAX_BINARY))], []);
  t.same([...reader.push(new Uint8Array(1000))], [], 'and waited for');
});

t.test('a text that is no JSON object gives EPROTO', async (t) => {
  for (const text of ['', '{', 'null', '[]', '1', '"x"', '{} {}', '{"a":1,}', '\u0000']) {
    t.throws(() => parseObject(text), { code: 'EPROTO' }, text);
    const json = Buffer.from(text);
    t.throws(() => read([head(json.length, 0), json]), { code: 'EPROTO' });
  }
  t.same(parseObject(' {"a": [1]} '), { a: [1] });
});

t.test('lengths that lie give EPROTO, not another frame', async (t) => {
  const [bytes = new Uint8Array(0)] = encodeFrame({ a: 1 });
  const short = Buffer.from(bytes);
  short.writeUInt32LE(bytes.length - 8 - 1, 0);
  t.throws(() => read([short]), { code: 'EPROTO' });
  const long = Buffer.from(bytes);
  long.writeUInt32LE(bytes.length - 8 + 1, 0);
  t.same(read([long]), [], 'one that is too long waits for more');
  t.throws(() => read([long, Buffer.from('x')]), { code: 'EPROTO' });
});

t.test('a first line names the protocol, a word, and the rest', async (t) => {
  t.equal(helloLine('control', '{}'), 'VMMCTL/1 control {}\n');
  t.same(parseHello('VMMCTL/1 control {"a":1}'), { protocol: 1, word: 'control', rest: '{"a":1}' });
  t.same(parseHello('VMMCTL/27 ok'), { protocol: 27, word: 'ok', rest: '' });
  t.same(parseHello('VMMCTL/1 stream a b'), { protocol: 1, word: 'stream', rest: 'a b' });
  for (const line of [
    '',
    'VMMCTL',
    'VMMCTL/x ok',
    'VMMCTL/1',
    'VMMCTL/1 OK',
    ' VMMCTL/1 ok',
    'GET /',
  ]) {
    t.equal(parseHello(line), undefined, line);
  }
});

t.test('an error goes over the wire and comes back', async (t) => {
  const error = new SystemError('EBUSY', {
    syscall: 'open',
    path: '/dev/vmmctl',
    message: 'somebody has it',
    hint: 'wait',
  });
  const wire = JSON.parse(JSON.stringify(errorToWire(error)));
  t.same(wire, {
    code: 'EBUSY',
    message: 'somebody has it',
    syscall: 'open',
    path: '/dev/vmmctl',
    hint: 'wait',
  });
  const { code, message, syscall, path, hint } = errorFromWire(wire);
  t.same({ code, message, syscall, path, hint }, wire);
  t.same(errorToWire(new SystemError('ENOENT')), {
    code: 'ENOENT',
    message: 'no such file or directory',
  });
});

t.test('the result of VMCI that is the cause of an error goes along', async (t) => {
  const cause = new VmciResultError(VMCI_RESULT.VMCI_ERROR_INVALID_RESOURCE);
  const wire = JSON.parse(JSON.stringify(errorToWire(new SystemError('EHOSTUNREACH', { cause }))));
  t.equal(wire.vmciResult, -1);
  t.match(errorFromWire(wire).cause, { code: 'VMCI_ERROR_INVALID_RESOURCE', result: -1 });
  t.equal(errorFromWire({ ...wire, vmciResult: 'x' }).cause, undefined);
});

t.test('an error that is none of the system becomes EIO', async (t) => {
  t.same(errorToWire(new TypeError('oops')), { code: 'EIO', message: 'oops' });
  t.same(errorToWire('oops'), { code: 'EIO', message: 'oops' });
});

t.test('an error that makes no sense becomes EPROTO', async (t) => {
  for (const wire of [undefined, null, 5, 'EIO', {}, { code: 'ENOSUCH' }, { code: 5 }, []]) {
    t.equal(errorFromWire(wire).code, 'EPROTO');
  }
  const odd = errorFromWire({ code: 'EIO', message: 5, path: {}, hint: null });
  t.equal(odd.code, 'EIO');
  t.equal(odd.message, 'input/output error');
  t.equal(odd.path, undefined);
});
