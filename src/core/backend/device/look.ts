/** What a socket tells of itself. */
import { fromBytes, i32, u64 } from '../../abi/layout.js';
import { SO_ACCEPTCONN, SO_TYPE, SOL_SOCKET } from '../../abi/linux-socket.js';
import { AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, sockaddr_vm } from '../../abi/vm-sockets.js';
import type { Libc } from '../../native/libc.js';
import type { SocketRecord } from '../port/vsock.js';
import { decodeAddress, socketType } from './address.js';

/** What a socket tells of itself, whoever holds it. Undefined when it is gone. */
export function lookAt(libc: Libc, fd: number, owner: number | null): SocketRecord | undefined {
  const address = new Uint8Array(sockaddr_vm.size);
  if (libc.getsockname(fd, address) < 0) return undefined;
  const peer = new Uint8Array(sockaddr_vm.size);
  const isConnected = libc.getpeername(fd, peer) >= 0;
  const isListener = number32(libc, fd, SO_ACCEPTCONN) === 1;
  return {
    type: socketType(number32(libc, fd, SO_TYPE)) ?? 'stream',
    state: isListener ? 'listen' : isConnected ? 'established' : 'closed',
    local: decodeAddress(address),
    peer: isConnected ? decodeAddress(peer) : null,
    recvQueue: null,
    sendQueue: null,
    credit: null,
    bufAlloc: bufferSize(libc, fd),
    owner,
  };
}

function number32(libc: Libc, fd: number, option: number): number {
  const value = new Uint8Array(i32.size);
  libc.getsockopt(fd, SOL_SOCKET, option, value);
  return fromBytes(i32, value);
}

function bufferSize(libc: Libc, fd: number): number | null {
  const value = new Uint8Array(u64.size);
  const result = libc.getsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, value);
  return result < 0 ? null : Number(fromBytes(u64, value));
}
