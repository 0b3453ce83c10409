/** The list of this machine's vsock sockets, by netlink. */
import { SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_RAW } from '../../abi/linux-socket.js';
import {
  AF_NETLINK,
  decodeDump,
  NETLINK_SOCK_DIAG,
  TCP_CLOSING,
  TCP_ESTABLISHED,
  TCP_LISTEN,
  TCP_SYN_SENT,
  type VsockDiagMessage,
  vsockDumpRequest,
} from '../../abi/sock-diag.js';
import { VMADDR_PORT_ANY } from '../../abi/vm-sockets.js';
import type { Libc } from '../../native/libc.js';
import type { SocketRecord } from '../port/vsock.js';
import { socketType } from './address.js';
import { check, systemError } from './errors.js';

/** The kernel makes no larger part of a dump, bytes. */
const PART = 65536;

const STATES: Readonly<Record<number, SocketRecord['state']>> = {
  [TCP_ESTABLISHED]: 'established',
  [TCP_SYN_SENT]: 'connecting',
  [TCP_LISTEN]: 'listen',
  [TCP_CLOSING]: 'closing',
};

/**
 * @param owner the machine's CID, if it has one.
 * @throws SystemError ENOENT where the kernel has no vsock_diag.
 */
export function dumpSockets(libc: Libc, owner: number | null): SocketRecord[] {
  const fd = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  check(fd, { syscall: 'socket' });
  try {
    check(libc.send(fd, vsockDumpRequest(), 0), { syscall: 'send' });
    return [...parts(libc, fd)].map((socket) => recordOf(socket, owner));
  } finally {
    libc.close(fd);
  }
}

function* parts(libc: Libc, fd: number): Generator<VsockDiagMessage> {
  const buffer = new Uint8Array(PART);
  for (;;) {
    const length = check(libc.recv(fd, buffer, 0), { syscall: 'recv' });
    const { sockets, done, error } = decodeDump(buffer.subarray(0, length));
    if (error !== 0) throw systemError(error, { syscall: 'vsock_diag' });
    yield* sockets;
    if (done || length === 0) return;
  }
}

function recordOf(socket: VsockDiagMessage, owner: number | null): SocketRecord {
  const state = STATES[socket.vdiag_state] ?? 'closed';
  const hasPeer = state !== 'listen' && socket.vdiag_dst_port !== VMADDR_PORT_ANY;
  return {
    type: socketType(socket.vdiag_type) ?? 'stream',
    state,
    local: { cid: socket.vdiag_src_cid, port: socket.vdiag_src_port },
    peer: hasPeer ? { cid: socket.vdiag_dst_cid, port: socket.vdiag_dst_port } : null,
    recvQueue: null,
    sendQueue: null,
    credit: null,
    bufAlloc: null,
    owner,
  };
}
