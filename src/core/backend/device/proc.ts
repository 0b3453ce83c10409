/**
 * vsock sockets found through /proc, for kernels without vsock_diag: those that processes hold open and that this
 * user may look into. What waits to be accepted is not among them.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { SYS_pidfd_getfd, SYS_pidfd_open } from '../../abi/linux-socket.js';
import type { Libc } from '../../native/libc.js';
import type { SocketRecord } from '../port/vsock.js';
import { lookAt } from './look.js';

/** The family of a socket, as an extended attribute of its link. Source: Linux net/socket.c. */
const FAMILY_ATTRIBUTE = 'system.sockprotoname';
const FAMILY = 'AF_VSOCK';

interface Held {
  pid: number;
  fd: number;
  inode: string;
}

export function findSockets(libc: Libc, owner: number | null): SocketRecord[] {
  const seen = new Set<string>();
  const found: SocketRecord[] = [];
  for (const held of heldSockets()) {
    if (seen.has(held.inode) || !isVsock(libc, held)) continue;
    const record = borrow(libc, held, (fd) => lookAt(libc, fd, owner));
    if (record === undefined) continue;
    seen.add(held.inode);
    found.push(record);
  }
  return found;
}

function* heldSockets(): Generator<Held> {
  for (const name of entries('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    for (const fd of entries(`/proc/${name}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${name}/fd/${fd}`))?.[1];
      if (inode !== undefined) yield { pid: Number(name), fd: Number(fd), inode };
    }
  }
}

/** A process may end, or belong to someone else, at any moment. */
function entries(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function isVsock(libc: Libc, { pid, fd }: Held): boolean {
  const value = new Uint8Array(64);
  const length = libc.getxattr(`/proc/${pid}/fd/${fd}`, FAMILY_ATTRIBUTE, value);
  if (length <= 0) return false;
  return new TextDecoder().decode(value.subarray(0, length)).replace(/\0.*$/, '') === FAMILY;
}

/** Has the other process's socket for a moment, to ask it. */
function borrow<T>(libc: Libc, { pid, fd }: Held, ask: (fd: number) => T): T | undefined {
  const process = libc.syscall(SYS_pidfd_open, pid, 0, 0);
  if (process < 0) return undefined;
  const socket = libc.syscall(SYS_pidfd_getfd, process, fd, 0);
  libc.close(process);
  if (socket < 0) return undefined;
  try {
    return ask(socket);
  } finally {
    libc.close(socket);
  }
}
