/**
 * Credit flow control: how many bytes a sender may have under way, and when a receiver says that it has room.
 * All counters are u32 and wrap. Source: virtio 1.2, 5.10.6.3; virtio_transport_common.c.
 */
import { VIRTIO_VSOCK_MAX_PKT_BUF_SIZE } from '../../abi/virtio-vsock.js';
import type { VsockProfile } from './profile.js';

/** `a - b` on u32 counters that wrap. */
export function counterDifference(a: number, b: number): number {
  return (a - b) >>> 0;
}

/** `a + b` on u32 counters that wrap. */
export function counterSum(a: number, b: number): number {
  return (a + b) >>> 0;
}

export class Credit {
  /** Bytes of the buffer that the peer may fill: SO_VM_SOCKETS_BUFFER_SIZE. */
  bufAlloc: number;
  /** Bytes accepted from the program so far. */
  txCnt = 0;
  peerBufAlloc = 0;
  peerFwdCnt = 0;
  /** Bytes of fully consumed packets so far. */
  fwdCnt = 0;
  /** The `fwdCnt` that the peer was last told. */
  toldFwdCnt = 0;
  /** Bytes of packets that are not fully consumed: what counts against `bufAlloc`. */
  bufUsed = 0;
  /** Bytes that can be read. */
  rxBytes = 0;

  constructor(bufAlloc: number) {
    this.bufAlloc = bufAlloc;
  }

  /** Bytes sent that the peer has not reported as consumed. */
  inFlight(): number {
    return counterDifference(this.txCnt, this.peerFwdCnt);
  }

  /** Bytes that may be under way at once. */
  window(profile: VsockProfile): number {
    return profile.boundsCredit ? Math.min(this.peerBufAlloc, this.bufAlloc) : this.peerBufAlloc;
  }

  /** Bytes that may be sent now; never negative. */
  sendable(profile: VsockProfile): number {
    return Math.max(0, this.window(profile) - this.inFlight());
  }

  /** Takes `bytes` of the window for sending. */
  reserve(bytes: number): void {
    this.txCnt = counterSum(this.txCnt, bytes);
  }

  /** Learns the peer's window from a packet that it sent. */
  heard(bufAlloc: number, fwdCnt: number): void {
    this.peerBufAlloc = bufAlloc;
    this.peerFwdCnt = fwdCnt;
  }

  /** Books a received packet; false when the peer had no credit for it. */
  received(bytes: number): boolean {
    if (this.bufUsed + bytes > this.bufAlloc) return false;
    this.accept(bytes);
    return true;
  }

  /** Books a received packet without asking whether there was credit. */
  accept(bytes: number): void {
    this.bufUsed += bytes;
    this.rxBytes += bytes;
  }

  /** The program read bytes of a packet. */
  read(bytes: number): void {
    this.rxBytes -= bytes;
  }

  /** A packet of `bytes` has been consumed to its end. */
  consumed(bytes: number): void {
    this.bufUsed -= bytes;
    this.fwdCnt = counterSum(this.fwdCnt, bytes);
  }

  /** An outgoing packet carries the counters, so the peer knows them from now on. */
  told(): void {
    this.toldFwdCnt = this.fwdCnt;
  }

  /**
   * Whether a read must be followed by a CREDIT_UPDATE: something was freed that the peer has not been
   * told, and either it sees less than a full packet of room, or nothing (less than `lowWater`) is left to read.
   */
  owesUpdate(lowWater: number): boolean {
    const untold = counterDifference(this.fwdCnt, this.toldFwdCnt);
    if (untold === 0) return false;
    const roomAsPeerSeesIt = this.bufAlloc - untold;
    return roomAsPeerSeesIt < VIRTIO_VSOCK_MAX_PKT_BUF_SIZE || this.rxBytes < lowWater;
  }
}
