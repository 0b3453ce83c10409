/** Descriptors by which a front-end is told of something. It chose them, so they need not be eventfds. */
import { constants } from 'node:os';
import type { Libc } from '../../native/libc.js';

const [F_GETFL, F_SETFL, O_NONBLOCK] = [3, 4, 0o4000];
/** What an eventfd takes: a count that is added. */
const ONE = new Uint8Array(new BigUint64Array([1n]).buffer);
const AGAIN = -constants.errno.EAGAIN;

/** A count can be full, and the one who writes must not wait. */
export function dontWait(libc: Libc, fd: number): void {
  const flags = libc.fcntl(fd, F_GETFL, 0);
  if (flags >= 0) libc.fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/** False when nobody can be told by it any more. A full count is news that is still to be seen. */
export function tellBy(libc: Libc, fd: number): boolean {
  const result = libc.write(fd, ONE);
  return result >= 0 || result === AGAIN;
}
