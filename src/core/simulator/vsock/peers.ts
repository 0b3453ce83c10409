/**
 * Connections that a real guest has with other guests. Nobody but the switch can tell its kernel that a guest at the
 * other end is gone, so the switch remembers what it has carried.
 */
import { encodeHeader, type PacketHeader, VIRTIO_VSOCK_OP_RST } from '../../abi/virtio-vsock.js';
import { NO_PAYLOAD, type Packet, type PacketSource } from './channel.js';

/** How many are remembered; of more than these the oldest are forgotten, and end when their guest next speaks. */
export const MAX_PEERS = 16384;

export class Peers implements PacketSource {
  /** RST packets, as the guest would get them, by connection. */
  readonly #known = new Map<string, PacketHeader>();
  readonly #lost: PacketHeader[] = [];

  /** A packet on its way to the guest. */
  received({ srcCid, dstCid, srcPort, dstPort, type, op }: PacketHeader): void {
    const key = connectionKey(srcCid, srcPort, dstPort);
    if (op === VIRTIO_VSOCK_OP_RST) {
      this.#known.delete(key);
      return;
    }
    if (this.#known.has(key)) return;
    if (this.#known.size >= MAX_PEERS) this.#forgetOldest();
    const nothing = { len: 0, flags: 0, bufAlloc: 0, fwdCnt: 0 };
    const addresses = { srcCid, dstCid, srcPort, dstPort };
    this.#known.set(key, { ...addresses, ...nothing, type, op: VIRTIO_VSOCK_OP_RST });
  }

  /** A packet that the guest has sent to another. */
  sent({ dstCid, srcPort, dstPort, op }: PacketHeader): void {
    if (op !== VIRTIO_VSOCK_OP_RST) return;
    this.#known.delete(connectionKey(dstCid, dstPort, srcPort));
  }

  /** A guest is gone. True when this one has to be told of connections. */
  gone(cid: number): boolean {
    for (const [key, reset] of this.#known) {
      if (reset.srcCid !== cid) continue;
      this.#known.delete(key);
      this.#lost.push(reset);
    }
    return this.#lost.length > 0;
  }

  nextPacket(): Packet | undefined {
    const reset = this.#lost.pop();
    return reset && { header: encodeHeader(reset), payload: NO_PAYLOAD };
  }

  #forgetOldest(): void {
    const [oldest] = this.#known.keys();
    if (oldest !== undefined) this.#known.delete(oldest);
  }
}

function connectionKey(peerCid: number, peerPort: number, ownPort: number): string {
  return `${peerCid}:${peerPort}:${ownPort}`;
}
