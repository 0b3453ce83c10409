/** Messages of /dev/cuse against bytes written out by hand. */
import t from 'tap';
import { cuse_init_in, FUSE_OPCODE } from '../../../../src/core/abi/fuse.js';
import {
  answerInit,
  encodeIoctlResult,
  encodeReply,
  encodeRetry,
  parseRequest,
} from '../../../../src/core/export/cuse/message.js';
import { message } from './kernel.js';

function words(...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

t.test('a request is as long as it says', async (t) => {
  const whole = words(44, 39, 7, 0, 0, 0, 1000, 100, 5, 0, 0xabcd);
  const request = parseRequest(whole);
  t.match(request?.header, { opcode: 39, unique: 7n, nodeid: 0n, uid: 1000, gid: 100, pid: 5 });
  t.strictSame(request?.body, words(0xabcd));
  t.equal(parseRequest(whole.subarray(0, 40)), undefined);
  t.equal(parseRequest(whole.subarray(0, 39)), undefined);
  t.equal(parseRequest(new Uint8Array(0)), undefined);
});

t.test('replies', async (t) => {
  t.strictSame(new Uint8Array(encodeReply(7n, 22)), words(16, -22, 7, 0));
  t.strictSame(new Uint8Array(encodeReply(7n, 0, words(1, 2))), words(24, 0, 7, 0, 1, 2));
  const result = encodeIoctlResult(7n, 3, words(9));
  t.strictSame(new Uint8Array(result), words(36, 0, 7, 0, 3, 0, 0, 0, 9));
  const into = [{ base: 0x1000n, length: 24 }];
  const out = [{ base: 0x1_0000_0000n, length: 8 }];
  const retry = words(64, 0, 7, 0, 0, 4, 1, 1, 0x1000, 0, 24, 0, 0, 1, 8, 0);
  t.strictSame(new Uint8Array(encodeRetry(7n, into, out)), retry);
});

t.test('the first request makes the node', async (t) => {
  const init = (fields: object) =>
    message(
      FUSE_OPCODE.CUSE_INIT,
      2n,
      cuse_init_in.encode({ major: 7, minor: 38, flags: 1, ...fields }),
    );
  const answer = answerInit(init({}), 'vboxguest');
  const reply = words(106, 0, 2, 0, 7, 31, 0, 1, 4096, 4096, ...Array(12).fill(0));
  const name = new TextEncoder().encode('DEVNAME=vboxguest\0');
  t.strictSame(new Uint8Array(answer ?? []), new Uint8Array([...reply, ...name]));
  t.equal(answerInit(init({ minor: 20 }), 'a')?.[20], 20, 'an older kernel');
  t.equal(answerInit(init({ major: 8 }), 'a'), undefined);
  t.equal(answerInit(init({ minor: 15 }), 'a'), undefined);
  t.equal(answerInit(init({ flags: 0 }), 'a'), undefined, 'without unrestricted ioctls');
  t.equal(answerInit(init({}), 'a'.repeat(4096)), undefined);
  t.equal(answerInit(message(14, 2n, new Uint8Array(16)), 'a'), undefined);
  t.equal(answerInit(message(FUSE_OPCODE.CUSE_INIT, 2n, new Uint8Array(15)), 'a'), undefined);
});
