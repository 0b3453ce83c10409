/** When the other end of a descriptor counts as gone. */
import t from 'tap';
import { hangUp } from '../../../src/core/native/hang-up.js';
import { loadLibc } from '../../../src/core/native/libc.js';
import { connectedPair } from '../../helpers/unix.js';

const libc = await loadLibc();
const SHUT_WR = 1;

t.test('a socket whose peer closes', async (t) => {
  const [near, far] = connectedPair(t, libc);
  t.teardown(() => libc.close(near));
  let gone = false;
  const ended = hangUp(near).then(() => {
    gone = true;
  });
  libc.send(near, new Uint8Array(10), 0);
  libc.recv(far, new Uint8Array(10), 0);
  libc.shutdown(far, SHUT_WR);
  await new Promise((next) => setImmediate(next));
  t.equal(gone, false, 'a peer that says nothing more may still read');
  libc.close(far);
  await keepAlive(ended);
  t.equal(gone, true);
});

t.test('a peer that was gone before', async (t) => {
  const [near, far] = connectedPair(t, libc);
  t.teardown(() => libc.close(near));
  libc.close(far);
  await keepAlive(hangUp(near));
});

/** What is waited for holds no process. */
async function keepAlive(work: Promise<void>): Promise<void> {
  const alive = setInterval(() => undefined, 1000);
  await work.finally(() => clearInterval(alive));
}
