/** What a virtio device is to the server that offers it over vhost-user. */
import type { ByteParts } from './byte-parts.js';

/** Buffers that the driver has made available as one: pieces of the guest's memory, valid until they are given back. */
export interface Chain {
  /** What the device may read, in order. */
  readonly readable: ByteParts;
  /** What the device may write, in order. */
  readonly writable: ByteParts;
}

/** A virtqueue that runs. */
export interface DeviceQueue {
  /** The next chain that the driver has made available; undefined when there is none. */
  pop(): Chain | undefined;
  /** Makes the last chain available again, as if it had not been taken. */
  unpop(chain: Chain): void;
  /** Gives a chain back; `written` bytes of its writable part were filled in. */
  push(chain: Chain, written: number): void;
  /** Lets the driver see what was given back, and tells it where it wants to be told. Call once after several `push`. */
  notify(): void;
}

/** What a device can ask of the server that offers it. */
export interface DeviceHost {
  /** The driver reads the configuration anew. */
  configChanged(): void;
  /** The driver has broken the rules: its connection ends, with a line in the log. */
  fail(reason: string): void;
  /**
   * Gives memory of the guest back to the machine: the whole pages in a range of guest addresses, such as a piece of a
   * chain. They read as zeros from then on. Source: fallocate(2), FALLOC_FL_PUNCH_HOLE.
   * @returns the bytes that were given back; 0 where the range is no memory of the guest, or its file has no holes.
   */
  release(range: { address: number; length: number }): number;
}

export interface VirtioDevice {
  /** 19 is vsock, 5 the balloon. */
  readonly id: number;
  /** Feature bits of the device itself; those of the ring and of the transport are the server's. */
  readonly features: bigint;
  readonly queueCount: number;
  /** The whole configuration space, as it is now. */
  config(): Uint8Array;
  /** The driver writes into the configuration space. The range has been checked. */
  writeConfig(offset: number, bytes: Uint8Array): void;
  /** A driver is there: it has agreed to these features. Called before any queue starts. */
  attached(host: DeviceHost, features: bigint): void;
  /** A queue runs from now on. */
  started(index: number, queue: DeviceQueue): void;
  /** It is about to stop. The chain that was taken last may be made available again; others are lost. */
  stopped(index: number): void;
  /** The driver has made something available. */
  kicked(index: number): void;
  /** The driver is gone: its guest has shut down, rebooted or died. All its queues have stopped. */
  detached(reason: string): void;
}
