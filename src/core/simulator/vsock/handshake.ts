/**
 * How a listener takes a connection: at the REQUEST (Linux), or statelessly with a cookie that the third packet
 * must bring back (the patch set of 2015: 24 bits, a counter of minutes, four of which are accepted).
 */
import {
  PATCHSET_2015_OP_ACK,
  type PacketHeader,
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RESPONSE,
  VIRTIO_VSOCK_OP_RST,
} from '../../abi/virtio-vsock.js';
import type { Rng } from '../rng.js';
import type { VsockProfile } from './profile.js';
import { resetFor } from './protocol.js';

const COOKIE_BITS = 24;
const COOKIE_PERIOD_MS = 60_000;
const COOKIE_PERIODS = 4;

export class Handshake {
  readonly #secret: number;

  constructor(rng: Rng) {
    this.#secret = rng.below(2 ** 32);
  }

  /** Whether a packet asks for a new connection. */
  opens(profile: VsockProfile, header: PacketHeader): boolean {
    return header.op === VIRTIO_VSOCK_OP_REQUEST && profile.handshake === 'two-way';
  }

  /** What a listener does with a packet: take the connection, refuse, ignore, or answer with a packet. */
  step(
    profile: VsockProfile,
    header: PacketHeader,
    nowMs: number,
  ): 'accept' | 'refuse' | 'ignore' | PacketHeader {
    if (header.op === VIRTIO_VSOCK_OP_RST) return 'ignore';
    if (profile.handshake === 'two-way') {
      return header.op === VIRTIO_VSOCK_OP_REQUEST ? 'accept' : 'refuse';
    }
    if (header.op === VIRTIO_VSOCK_OP_REQUEST) {
      const flags = this.#cookie(header, minute(nowMs));
      return { ...resetFor(header), op: VIRTIO_VSOCK_OP_RESPONSE, flags };
    }
    if (header.op !== PATCHSET_2015_OP_ACK) return 'ignore';
    return this.#isOurs(header, nowMs) ? 'accept' : 'ignore';
  }

  #isOurs(header: PacketHeader, nowMs: number): boolean {
    for (let age = 0; age < COOKIE_PERIODS; age++) {
      if (this.#cookie(header, minute(nowMs) - age) === header.flags) return true;
    }
    return false;
  }

  #cookie(header: PacketHeader, period: number): number {
    let hash = this.#secret;
    for (const word of [header.srcCid, header.dstCid, header.srcPort, header.dstPort, period]) {
      hash = Math.imul(hash ^ word, 0x9e3779b1);
      hash = (hash ^ (hash >>> 15)) >>> 0;
    }
    return hash % 2 ** COOKIE_BITS;
  }
}

function minute(nowMs: number): number {
  return Math.floor(nowMs / COOKIE_PERIOD_MS);
}
