/** Reads the line with which a connection says what it wants, before it becomes something else. */
import type { Socket as NetSocket } from 'node:net';

/** How long a client may take to write it, milliseconds. */
const LINE_TIMEOUT_MS = 10_000;

/**
 * Calls back with the line, without its newline; the connection is paused then, and still holds what followed.
 * A connection that ends, is silent, or writes `maxBytes` without a newline is destroyed. Errors of the connection
 * destroy it until somebody else listens to them.
 */
export function readFirstLine(
  connection: NetSocket,
  maxBytes: number,
  then: (line: string) => void,
): void {
  let data = Buffer.alloc(0);
  const drop = () => connection.destroy();
  connection.setTimeout(LINE_TIMEOUT_MS, drop);
  connection.on('error', drop);
  connection.on('end', drop);
  const read = (chunk: Buffer) => {
    data = Buffer.concat([data, chunk]);
    const end = data.indexOf('\n');
    if (end < 0 && data.length < maxBytes) return;
    connection.off('data', read);
    connection.off('end', drop);
    connection.pause();
    connection.setTimeout(0);
    if (end < 0 || end >= maxBytes) {
      drop();
      return;
    }
    const rest = data.subarray(end + 1);
    if (rest.length > 0) connection.unshift(rest);
    then(data.toString('utf8', 0, end));
  };
  connection.on('data', read);
}
