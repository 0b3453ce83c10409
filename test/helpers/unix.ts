/** Raw descriptors of connected AF_UNIX sockets, for what works on any socket. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { Libc } from '../../src/core/native/libc.js';

const AF_UNIX = 1;
const SOCK_NONBLOCK = 0o4000;
export const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
export const SOCK_SEQPACKET = 5;

/** Two ends of a connection; the caller closes them. */
export function connectedPair(t: Test, libc: Libc, type = SOCK_STREAM): [number, number] {
  const directory = mkdtempSync(join(tmpdir(), 'vmmctl-pair-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const address = addressOf(join(directory, 's'));
  const listener = libc.socket(AF_UNIX, type, 0);
  libc.bind(listener, address);
  libc.listen(listener, 1);
  const first = libc.socket(AF_UNIX, type | SOCK_NONBLOCK, 0);
  libc.connect(first, address);
  const second = libc.accept(listener, SOCK_NONBLOCK);
  libc.close(listener);
  if (second < 0) throw new Error(`accept = ${second}`);
  return [first, second];
}

/** A datagram socket that nobody is connected to, and one that is connected to it. */
export function datagramPair(t: Test, libc: Libc): [number, number] {
  const directory = mkdtempSync(join(tmpdir(), 'vmmctl-pair-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const [server, client] = ['server', 'client'].map((name) => {
    const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    libc.bind(fd, addressOf(join(directory, name)));
    return fd;
  });
  if (server === undefined || client === undefined) throw new Error('no pair');
  libc.connect(client, addressOf(join(directory, 'server')));
  return [server, client];
}

function addressOf(path: string): Uint8Array {
  const bytes = new TextEncoder().encode(`__${path}\0`);
  new DataView(bytes.buffer).setUint16(0, AF_UNIX, true);
  return bytes;
}
