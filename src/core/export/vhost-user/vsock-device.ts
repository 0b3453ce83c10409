/**
 * The virtio socket device (id 19) of a VM whose guest is a real kernel: its driver's buffers are where the switch
 * takes packets from and puts them. Source: virtio 1.2, section 5.10.
 */
import {
  VIRTIO_ID_VSOCK,
  VIRTIO_VSOCK_EVENT_TRANSPORT_RESET,
  VIRTIO_VSOCK_F_SEQPACKET,
  VIRTIO_VSOCK_MAX_PKT_BUF_SIZE,
  virtio_vsock_config,
  virtio_vsock_event,
  virtio_vsock_hdr,
} from '../../abi/virtio-vsock.js';
import type { Packet, PacketSource } from '../../simulator/vsock/channel.js';
import type { RealDevice } from '../../simulator/vsock/network.js';
import type { Port } from '../../simulator/vsock/switch.js';
import { copyIn, copyOut, sizeOf } from './byte-parts.js';
import type { Chain, DeviceHost, DeviceQueue, VirtioDevice } from './device.js';

const RX = 0;
const TX = 1;
const EVENT = 2;
const QUEUES = 3;

const HEADER = virtio_vsock_hdr.size;

/** What the device is part of. */
export interface VsockDevicePlatform {
  /** Of the guest; it may change. */
  cid(): number;
  readonly seqpacket: boolean;
  /** A driver is there, so the guest is a real kernel; or it has gone, and why. */
  arrived(): void;
  left(reason: string): void;
  /** Lets packets flow. */
  kick(): void;
}

export class VsockDevice implements VirtioDevice, RealDevice, PacketSource {
  readonly id = VIRTIO_ID_VSOCK;
  readonly features: bigint;
  readonly queueCount = QUEUES;
  readonly #platform: VsockDevicePlatform;
  readonly #queues: (DeviceQueue | undefined)[] = [];
  /** Queues in which chains were given back that the driver may not know of. */
  readonly #untold = new Set<DeviceQueue>();
  #host: DeviceHost | undefined;
  #port: Port | undefined;
  /** The buffer for the next packet to the driver, and bytes of payload that it takes. */
  #buffer: Chain | undefined;
  #room = 0;
  /** The driver has not been told that the transport was reset. */
  #owesReset = false;

  constructor(platform: VsockDevicePlatform) {
    this.#platform = platform;
    // Streams have no bit in Linux.
    this.features = platform.seqpacket ? 1n << BigInt(VIRTIO_VSOCK_F_SEQPACKET) : 0n;
  }

  config(): Uint8Array {
    return virtio_vsock_config.encode({ guest_cid: BigInt(this.#platform.cid()) });
  }

  /** It has nothing that a driver writes. */
  writeConfig(): void {}

  attached(host: DeviceHost): void {
    this.#host = host;
    this.#platform.arrived();
  }

  started(index: number, queue: DeviceQueue): void {
    this.#queues[index] = queue;
    this.kicked(index);
  }

  stopped(index: number): void {
    const queue = this.#queues[index];
    this.#queues[index] = undefined;
    if (queue !== undefined) this.#untold.delete(queue);
    if (index !== RX) return;
    // It is there for who serves the queue next.
    if (this.#buffer !== undefined) queue?.unpop(this.#buffer);
    this.#forgetBuffer();
  }

  kicked(index: number): void {
    if (index === TX) this.#port?.up.add(this);
    if (index === EVENT) this.#tellReset();
    else this.#platform.kick();
  }

  detached(reason: string): void {
    this.#host = undefined;
    this.#port = undefined;
    this.#owesReset = false;
    this.#queues.length = 0;
    this.#untold.clear();
    this.#forgetBuffer();
    this.#platform.left(reason);
  }

  /** Where the driver has connections of before, it has to learn that they are gone. */
  plugged(port: Port): void {
    const isAnew = this.#port !== undefined;
    this.#port = port;
    if (this.#queues[TX] !== undefined) port.up.add(this);
    if (!isAnew) return;
    this.#owesReset = true;
    this.#host?.configChanged();
    this.#tellReset();
  }

  flush(): void {
    for (const queue of this.#untold) queue.notify();
    this.#untold.clear();
  }

  room(): number {
    if (this.#buffer === undefined) this.#nextBuffer();
    return this.#room;
  }

  take({ header, payload }: Packet): void {
    const queue = this.#queues[RX];
    const chain = this.#buffer;
    // Without a buffer nothing is pulled, nor more than it holds.
    if (queue === undefined || chain === undefined || payload.length > this.#room) return;
    this.#forgetBuffer();
    copyIn(chain.writable, 0, header);
    copyIn(chain.writable, HEADER, payload);
    this.#giveBack(queue, chain, HEADER + payload.length);
  }

  /** What the driver has put on its queue. The bytes are copied once, since it may change them at any time. */
  nextPacket(): Packet | undefined {
    const queue = this.#queues[TX];
    const chain = queue?.pop();
    if (queue === undefined || chain === undefined) return undefined;
    const size = sizeOf(chain.readable);
    if (chain.writable.length > 0 || size < HEADER) {
      this.#fail(`a packet of ${size} bytes to read and ${chain.writable.length} buffers to write`);
      return undefined;
    }
    if (size > HEADER + VIRTIO_VSOCK_MAX_PKT_BUF_SIZE) {
      this.#fail(`a packet of ${size} bytes`);
      return undefined;
    }
    const header = copyOut(chain.readable, 0, HEADER);
    const payload = copyOut(chain.readable, HEADER, size - HEADER);
    this.#giveBack(queue, chain, 0);
    return { header, payload };
  }

  #nextBuffer(): void {
    const chain = this.#queues[RX]?.pop();
    if (chain === undefined) return;
    const size = sizeOf(chain.writable);
    if (chain.readable.length > 0 || size <= HEADER) {
      this.#fail(
        `a buffer of ${size} bytes with ${chain.readable.length} that are not to be written`,
      );
      return;
    }
    this.#buffer = chain;
    this.#room = size - HEADER;
  }

  #forgetBuffer(): void {
    this.#buffer = undefined;
    this.#room = 0;
  }

  #giveBack(queue: DeviceQueue, chain: Chain, written: number): void {
    queue.push(chain, written);
    this.#untold.add(queue);
  }

  /** VIRTIO_VSOCK_EVENT_TRANSPORT_RESET, when the driver has a buffer for it. */
  #tellReset(): void {
    const queue = this.#queues[EVENT];
    if (!this.#owesReset || queue === undefined) return;
    const chain = queue.pop();
    if (chain === undefined) return;
    const event = virtio_vsock_event.encode({ id: VIRTIO_VSOCK_EVENT_TRANSPORT_RESET });
    if (sizeOf(chain.writable) < event.length) {
      this.#fail('a buffer that holds no event');
      return;
    }
    copyIn(chain.writable, 0, event);
    queue.push(chain, event.length);
    queue.notify();
    this.#owesReset = false;
  }

  #fail(reason: string): void {
    this.#host?.fail(reason);
  }
}
