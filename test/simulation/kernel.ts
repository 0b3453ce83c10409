/**
 * A guest of a run that is a kernel: a socket layer of its own behind the virtio device that real ones have, with rings
 * as their drivers fill them. What its driver has no buffer for waits in the host.
 */
import { decodeHeader, virtio_vsock_hdr } from '../../src/core/abi/virtio-vsock.js';
import { VMADDR_CID_ANY, VMADDR_CID_LOCAL } from '../../src/core/abi/vm-sockets.js';
import { VsockDevice } from '../../src/core/export/vhost-user/vsock-device.js';
import type { SeededRng } from '../../src/core/simulator/rng.js';
import { Channel } from '../../src/core/simulator/vsock/channel.js';
import type { Guest, VsockNetwork } from '../../src/core/simulator/vsock/network.js';
import { Stack, type StackOptions } from '../../src/core/simulator/vsock/stack.js';
import { FakeDeviceHost, FakeQueue } from '../helpers/virtqueue.js';

const [RX, TX, EVENT] = [0, 1, 2];
/** Packets in the ring for sending, and buffers in the one for receiving, at most. */
const RING = 16;
const BUFFER = 3776;
const HEADER = virtio_vsock_hdr.size;

/** What a socket layer needs of whoever runs it. */
export type KernelSurroundings = Pick<StackOptions, 'nowMs' | 'after'>;

export class Kernel {
  readonly stack: Stack;
  readonly #rng: SeededRng;
  readonly #host = new FakeDeviceHost();
  readonly #rx = new FakeQueue();
  readonly #tx = new FakeQueue();
  readonly #events = new FakeQueue();
  readonly #device: VsockDevice;
  /** What its sockets want to say. */
  readonly #out = new Channel(() => undefined);
  #alive = true;

  constructor(
    network: VsockNetwork,
    guest: Guest,
    rng: SeededRng,
    surroundings: KernelSurroundings,
  ) {
    this.#rng = rng;
    this.stack = new Stack({
      ...surroundings,
      profile: network.profile,
      rng,
      cid: () => guest.cid ?? VMADDR_CID_ANY,
      channelTo: (cid) => (cid === VMADDR_CID_LOCAL ? loopback : this.#out),
      wake: (socket) => network.woken.add(socket),
      defers: false,
      deferred: () => undefined,
    });
    const loopback = network.switch.attachLoopback(this.stack);
    this.#device = new VsockDevice({
      cid: () => guest.cid ?? VMADDR_CID_ANY,
      seqpacket: network.profile.seqpacket,
      arrived: () => network.setDevice(guest, this.#device),
      left: () => undefined,
      kick: () => undefined,
    });
    this.#device.attached(this.#host);
    for (const [index, queue] of [this.#rx, this.#tx, this.#events].entries()) {
      this.#device.started(index, queue);
    }
    this.#events.offer(8);
  }

  /** Nothing waits in it. */
  get empty(): boolean {
    return this.#out.empty && this.#tx.available.length === 0;
  }

  /** Its device is gone, and its programs with it. */
  remove(): void {
    this.#alive = false;
    this.stack.shutDown();
  }

  /** The driver does a little, or all that there is to do. @returns whether it did something */
  run(hurry: boolean): boolean {
    if (!this.#alive) return false;
    if (this.#host.failures.length > 0) throw new Error(`the device: ${this.#host.failures}`);
    const wasReset = this.#takeEvents();
    const took = this.#receive(hurry);
    const sent = this.#send(hurry);
    return wasReset || took || sent;
  }

  #takeEvents(): boolean {
    const told = this.#events.written().length > 0;
    if (told) {
      this.stack.resetAll();
      this.#events.offer(8);
      this.#device.kicked(EVENT);
    }
    return told;
  }

  #receive(hurry: boolean): boolean {
    const packets = this.#rx.written();
    for (const bytes of packets) {
      this.stack.receive(decodeHeader(bytes), bytes.subarray(HEADER), this.#out);
    }
    const wanted = hurry ? RING : this.#rng.below(RING + 1);
    for (let n = this.#rx.available.length; n < wanted; n++) this.#rx.offer(BUFFER);
    this.#device.kicked(RX);
    return packets.length > 0;
  }

  #send(hurry: boolean): boolean {
    this.#tx.used.length = 0;
    let moved = false;
    const wanted = hurry ? RING : this.#rng.below(RING + 1);
    while (this.#tx.available.length < wanted) {
      const packet = this.#out.pull();
      if (packet === undefined) break;
      this.#tx.send(packet.header, packet.payload);
      moved = true;
    }
    if (moved) this.#device.kicked(TX);
    return moved;
  }
}
