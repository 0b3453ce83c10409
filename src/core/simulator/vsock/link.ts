/**
 * What lies between the sockets and their transports, as struct vsock_transport does in Linux: the socket has states,
 * options and errors; a transport knows how connections are made, how bytes move, and how all that ends.
 */
import type { Socket, VsockAddress } from './socket.js';

/** How a call takes it that it has to wait: it waits for the socket to be woken, or it does not (MSG_DONTWAIT). */
export type Patience = 'waits' | 'hurries';

/** Bytes of a connection, as a list of sockets shows them. */
export interface Queues {
  /** Received and not yet read. */
  readonly received: number;
  /** Accepted from the program and not yet consumed by the peer. */
  readonly unconsumed: number;
  /** How many more would be accepted now. */
  readonly room: number;
}

/** What a transport does for one socket: a connection, or one that is being made. */
export interface Link {
  /** It leads to its own machine. */
  readonly loopback: boolean;
  /** Whether there is something that recv or recvMessage gives. */
  readonly hasData: boolean;
  readonly queues: Queues;
  /** Asks for the connection. @throws SystemError when that is known to be in vain. */
  connect(): void;
  /** The connection that was asked for is not wanted any more. */
  giveUp(): void;
  /** Somebody has claimed this deferred connection, which counts as connected. False when it is gone. */
  accept(): boolean;
  /** Nobody has. */
  refuse(): void;
  /** How many bytes were accepted, perhaps 0. The link keeps `data`. @throws SystemError. */
  send(data: Uint8Array, patience: Patience): number;
  /** The same for one message, or the rest of it. */
  sendMessage(data: Uint8Array, endOfRecord: boolean): number;
  /** Undefined when there is nothing. @throws SystemError. */
  recv(max: number, patience: Patience): Uint8Array | undefined;
  recvMessage(): { bytes: Uint8Array; endOfRecord: boolean } | undefined;
  /** The program has shut directions down: a mask of VIRTIO_VSOCK_SHUTDOWN_*, which all transports share. */
  shutdown(directions: number): void;
  /** The program has closed the socket, which takes itself out of all tables when nothing is left to do. */
  close(): void;
  /** The transport is gone: nothing more is said, what was received can be read. */
  drop(): void;
  /** SO_VM_SOCKETS_BUFFER_SIZE has another value. */
  bufferChanged(): void;
}

/** A way to other machines, or to the own one. */
export interface Transport {
  /** Whether it has messages with boundaries. */
  readonly seqpacket: boolean;
  /** Whether connections to a CID take this way. */
  reaches(cid: number): boolean;
  /** The part of a socket whose peer is set, which is about to connect. */
  link(socket: Socket): Link;
}

/** A way for datagrams. */
export interface DatagramTransport {
  /** @throws SystemError ENODEV, EINVAL for an address to which nothing can be sent. */
  check(address: VsockAddress): void;
  /** A free port when the address has none. @throws SystemError EADDRINUSE, EADDRNOTAVAIL, ENOBUFS. */
  bind(socket: Socket, address: VsockAddress): void;
  /** To an address that was checked. @throws SystemError EMSGSIZE, ...; what is lost on its way is no error. */
  send(socket: Socket, data: Uint8Array, address: VsockAddress): void;
  /** The program has closed it. */
  release(socket: Socket): void;
}
