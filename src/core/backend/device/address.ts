/** Addresses and types of AF_VSOCK sockets, as system calls have them. */
import { SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM } from '../../abi/linux-socket.js';
import { AF_VSOCK, sockaddr_vm } from '../../abi/vm-sockets.js';
import type { SocketType, VsockAddress } from '../port/vsock.js';

export const SOCK_TYPES: Readonly<Record<SocketType, number>> = {
  stream: SOCK_STREAM,
  dgram: SOCK_DGRAM,
  seqpacket: SOCK_SEQPACKET,
};

/** The port's name of a number of SOCK_*. */
export function socketType(number: number): SocketType | undefined {
  const types: readonly SocketType[] = ['stream', 'dgram', 'seqpacket'];
  return types.find((type) => SOCK_TYPES[type] === number);
}

export function encodeAddress({ cid, port }: VsockAddress): Uint8Array {
  return sockaddr_vm.encode({ svm_family: AF_VSOCK, svm_port: port, svm_cid: cid });
}

export function decodeAddress(bytes: Uint8Array): VsockAddress {
  const { svm_cid, svm_port } = sockaddr_vm.decode(bytes);
  return { cid: svm_cid, port: svm_port };
}
