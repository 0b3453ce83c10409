/** Bytes and descriptors over a Unix socket. */
import { closeSync, fstatSync, openSync, readdirSync } from 'node:fs';
import { constants } from 'node:os';
import t from 'tap';
import { loadLibc } from '../../../src/core/native/libc.js';
import { MAX_DESCRIPTORS, Messages } from '../../../src/core/native/messages.js';
import { connectedPair } from '../../helpers/unix.js';

const [libc, messages] = [await loadLibc(), await Messages.load()];
const bytes = (...values: number[]) => Uint8Array.from(values);
const [F_GETFD, FD_CLOEXEC] = [1, 1];

t.test('what is sent is received, and nothing waits', async (t) => {
  const [from, to] = connectedPair(t, libc);
  const into = new Uint8Array(8);
  t.same(messages.receive(to, into), {
    length: -constants.errno.EAGAIN,
    fds: [],
    truncated: false,
  });
  t.equal(messages.send(from, bytes(1, 2, 3)), 3);
  t.same(messages.receive(to, into.subarray(2)), { length: 3, fds: [], truncated: false });
  t.same([...into], [0, 0, 1, 2, 3, 0, 0, 0]);
  const large = new Uint8Array(65536);
  let sent = 0;
  while (sent >= 0) sent = messages.send(from, large);
  t.equal(sent, -constants.errno.EAGAIN);
  libc.close(to);
  t.equal(messages.send(from, bytes(1)), -constants.errno.EPIPE);
  libc.close(from);
});

t.test('the end of a connection is a message of no bytes', async (t) => {
  const [from, to] = connectedPair(t, libc);
  libc.close(from);
  t.equal(messages.receive(to, new Uint8Array(1)).length, 0);
  libc.close(to);
  t.equal(messages.receive(to, new Uint8Array(1)).length, -constants.errno.EBADF);
});

t.test('descriptors come with the first byte of what they were sent with', async (t) => {
  const [from, to] = connectedPair(t, libc);
  const files = ['/dev/null', '/dev/zero'].map((path) => openSync(path, 'r'));
  messages.send(from, bytes(1, 2, 3, 4), files);
  messages.send(from, bytes(5, 6));
  const into = new Uint8Array(2);
  const first = messages.receive(to, into);
  t.equal(first.length, 2);
  t.same(
    first.fds.map((fd) => fstatSync(fd).rdev),
    files.map((fd) => fstatSync(fd).rdev),
  );
  for (const fd of first.fds) t.equal(libc.fcntl(fd, F_GETFD, 0), FD_CLOEXEC);
  t.same(messages.receive(to, into), { length: 2, fds: [], truncated: false });
  for (const fd of [...files, ...first.fds]) closeSync(fd);
  for (const fd of [from, to]) libc.close(fd);
});

t.test('as many descriptors as one call takes, and no more', async (t) => {
  const [from, to] = connectedPair(t, libc);
  const before = readdirSync('/proc/self/fd').length;
  const many = Array.from({ length: MAX_DESCRIPTORS }, () => from);
  t.equal(messages.send(from, bytes(1), many), 1);
  const { fds, truncated } = messages.receive(to, new Uint8Array(1));
  t.equal(fds.length, MAX_DESCRIPTORS);
  t.equal(truncated, false);
  for (const fd of fds) libc.close(fd);
  t.throws(() => messages.send(from, bytes(1), [...many, from]), RangeError);
  t.equal(readdirSync('/proc/self/fd').length, before);
  for (const fd of [from, to]) libc.close(fd);
});
