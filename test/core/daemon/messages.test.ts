import fc from 'fast-check';
import t from 'tap';
import { encodeMessage, MAX_MESSAGE, MessageReader } from '../../../src/core/daemon/messages.js';
import { cutAnywhere } from '../../helpers/chunks.js';

function length(size: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(size, 0);
  return bytes;
}

t.test('a message is its length and its bytes', async (t) => {
  t.equal(Buffer.from(encodeMessage(Uint8Array.of(1, 2))).toString('hex'), '020000000102');
  t.equal(Buffer.from(encodeMessage(new Uint8Array(0))).toString('hex'), '00000000');
});

t.test('messages may be cut anywhere, empty ones too', async () => {
  const message = fc.uint8Array({ maxLength: 40 });
  fc.assert(
    fc.property(fc.array(message), fc.array(fc.nat(), { maxLength: 30 }), (messages, cuts) => {
      const reader = new MessageReader();
      const bytes = Buffer.concat(messages.map(encodeMessage));
      const got = cutAnywhere(bytes, cuts).flatMap((chunk) => reader.push(chunk));
      const hex = (list: readonly Uint8Array[]) => list.map((b) => Buffer.from(b).toString('hex'));
      return hex(got).join() === hex(messages).join() && !reader.partial;
    }),
  );
});

t.test('a reader knows whether the end of input would cut a message', async (t) => {
  const reader = new MessageReader();
  t.notOk(reader.partial);
  reader.push(Uint8Array.of(3, 0));
  t.ok(reader.partial, 'in a length');
  reader.push(Uint8Array.of(0, 0, 1));
  t.ok(reader.partial, 'in the bytes');
  t.same(reader.push(Uint8Array.of(2, 3)), [Buffer.of(1, 2, 3)]);
  t.notOk(reader.partial);
});

t.test('a message that is too long is refused as soon as its length is read', async (t) => {
  for (const size of [MAX_MESSAGE + 1, 0xffffffff]) {
    const reader = new MessageReader();
    t.same(reader.push(length(size).subarray(0, 3)), []);
    t.throws(() => reader.push(length(size).subarray(3)), { code: 'EMSGSIZE' });
  }
  t.same(new MessageReader().push(length(MAX_MESSAGE)), []);
});

t.test('a length that lies takes what follows for its bytes, and waits for the rest', async (t) => {
  const reader = new MessageReader();
  t.same(reader.push(Buffer.concat([length(5), Buffer.from('abc')])), []);
  t.same(reader.push(Buffer.from('defg')), [Buffer.from('abcde')]);
  t.ok(reader.partial);
});

t.test('many small messages in one chunk are not copied over and over', async (t) => {
  const bytes = Buffer.concat(
    Array.from({ length: 200_000 }, () => encodeMessage(Uint8Array.of(7))),
  );
  const messages = new MessageReader().push(bytes);
  t.equal(messages.length, 200_000);
  t.ok(messages.every(({ buffer }) => buffer === bytes.buffer));
});
