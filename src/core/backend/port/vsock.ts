/** Sockets of AF_VSOCK, and the packets that they send. */
import type { Duplex } from 'node:stream';
import type { CallOptions } from './node.js';

export interface TapOptions {
  signal: AbortSignal;
  /** Only packets from or to that port. */
  port?: number | undefined;
  /** Frames are cut to so many bytes. */
  snapLength: number;
}

/** A packet as Linux's device vsockmon gives it. */
export interface TappedPacket {
  /** Microseconds since 1970. */
  timeUs: number;
  /** struct af_vsockmon_hdr, the transport's own header, the payload. Not to be used after the next batch. */
  frame: Uint8Array;
  /** Bytes of the frame before it was cut. */
  length: number;
}

export interface TapBatch {
  /** In the order in which they passed. */
  packets: TappedPacket[];
  /** Packets that were lost since the beginning, since they were not fetched in time. */
  lost: number;
}

export type SocketType = 'stream' | 'seqpacket' | 'dgram';

export interface VsockAddress {
  /** Context id, u32; 0xffffffff is VMADDR_CID_ANY. */
  cid: number;
  /** u32; 0xffffffff is VMADDR_PORT_ANY. */
  port: number;
}

/** Options of level AF_VSOCK; sizes in bytes, time-outs in milliseconds. */
export type SocketOption =
  | 'SO_VM_SOCKETS_BUFFER_SIZE'
  | 'SO_VM_SOCKETS_BUFFER_MIN_SIZE'
  | 'SO_VM_SOCKETS_BUFFER_MAX_SIZE'
  | 'SO_VM_SOCKETS_CONNECT_TIMEOUT';

export interface VsockSocket {
  readonly type: SocketType;
  bind(address: VsockAddress): Promise<void>;
  /** A negative backlog is the largest. */
  listen(backlog: number): Promise<void>;
  /** The next connection of a listener. */
  accept(options?: CallOptions): Promise<VsockSocket>;
  /** When it fails, all that can be done with the socket everywhere is to close it; after EINTR at once, anything. */
  connect(address: VsockAddress, options?: CallOptions): Promise<void>;
  /**
   * EINVAL for what is no whole number and for a negative size, ERANGE for a negative time-out; a time-out of 0 is the
   * default. A system may round a time-out up to its tick.
   */
  setOption(option: SocketOption, value: number): Promise<void>;
  getOption(option: SocketOption): Promise<number>;
  localAddress(): Promise<VsockAddress>;
  /** ENOTCONN without a connection, and when this side has ended its direction. */
  peerAddress(): Promise<VsockAddress>;
  /**
   * Joins the connected socket to a stream. ENOTCONN without a connection, EBUSY when it has been called before. When the
   * stream has ended, the socket can only be closed.
   */
  stream(): Promise<VsockStream>;
  /**
   * Closes it when what was written to its stream is sent; the peer learns at once that nobody reads any more. All other
   * calls, also those that wait, end with EBADF. To close it again does nothing.
   */
  close(): Promise<void>;
}

export interface VsockStream {
  /**
   * Bytes for a stream socket; for the other types one chunk is one message, in both directions.
   * Ending it is shutdown(SHUT_WR); its end is the peer's. An empty chunk says nothing. Destroying it loses what has not
   * been handed on. Its errors only say that it broke; `ended` says why.
   */
  readonly duplex: Duplex;
  /**
   * Reads into the caller's memory, which saves new memory for each piece: how many bytes came, or 0 at the end and when
   * the signal aborts. For stream sockets, where the backend has it; not to be mixed with reading from `duplex`.
   */
  read?(into: Uint8Array, options?: CallOptions): Promise<number>;
  /** Resolves when nothing more is taken (POLLHUP, or a write that failed), before `ended`. Never rejects. */
  readonly hungUp: Promise<void>;
  /**
   * Settles when both directions are over, which only who reads to the end is told; rejects (ECONNRESET, EPIPE, ...) when
   * it did not end well. A message that the socket never takes (EMSGSIZE; ENOMEM on Linux 6.1) ends its direction, and
   * the peer sees a plain end; what is written then is lost.
   */
  readonly ended: Promise<void>;
}

/** One row of a socket list, as vsock_diag or ss(8) would give it. */
export interface SocketRecord {
  type: SocketType;
  state: 'closed' | 'listen' | 'connecting' | 'established' | 'closing';
  local: VsockAddress;
  peer: VsockAddress | null;
  /** Bytes received and not yet read. For a listener: connections that wait. Null where the system doesn't tell. */
  recvQueue: number | null;
  /** Bytes accepted from the program and not yet consumed by the peer. For a listener: the backlog. */
  sendQueue: number | null;
  /** Bytes that may be sent before the peer gives more credit; null where there is no connection. */
  credit: number | null;
  bufAlloc: number | null;
  /** CID of the machine whose socket it is; null where it has none. */
  owner: number | null;
}

export type VsockTransport = 'virtio' | 'vmci';
