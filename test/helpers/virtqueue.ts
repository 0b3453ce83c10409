/** Virtqueues without a ring, for tests of devices: the test is the driver. */
import { copyOut, type Piece } from '../../src/core/export/vhost-user/byte-parts.js';
import type { Chain, DeviceHost, DeviceQueue } from '../../src/core/export/vhost-user/device.js';

/** A buffer of a driver, in the test's own memory. */
export class Buf implements Piece {
  readonly bytes: Uint8Array;
  readonly address: number;

  constructor(bytes: Uint8Array, address = 0) {
    this.bytes = bytes;
    this.address = address;
  }

  get length(): number {
    return this.bytes.length;
  }

  read(at: number, into: Uint8Array): void {
    into.set(this.bytes.subarray(at, at + into.length));
  }

  write(at: number, bytes: Uint8Array): void {
    this.bytes.set(bytes, at);
  }
}

export class FakeQueue implements DeviceQueue {
  readonly available: Chain[] = [];
  readonly used: { chain: Chain; written: number }[] = [];
  notified = 0;

  pop(): Chain | undefined {
    return this.available.shift();
  }

  unpop(chain: Chain): void {
    this.available.unshift(chain);
  }

  push(chain: Chain, written: number): void {
    this.used.push({ chain, written });
  }

  notify(): void {
    this.notified++;
  }

  /** Makes buffers of these sizes available, as one chain to be written. */
  offer(...sizes: number[]): void {
    this.available.push({
      readable: [],
      writable: sizes.map((size) => new Buf(new Uint8Array(size))),
    });
  }

  /** Makes bytes available, in pieces. */
  send(...readable: Uint8Array[]): void {
    this.available.push({ readable: readable.map((bytes) => new Buf(bytes)), writable: [] });
  }

  /** What was written into each chain that came back, since the last call. */
  written(): Uint8Array[] {
    return this.used.splice(0).map(({ chain, written }) => {
      return copyOut(chain.writable, 0, written);
    });
  }
}

/** The server of a device, as the device sees it. */
export class FakeDeviceHost implements DeviceHost {
  configChanges = 0;
  readonly failures: string[] = [];
  /** Ranges that were given back: address and length. */
  readonly released: [number, number][] = [];

  configChanged(): void {
    this.configChanges++;
  }

  fail(reason: string): void {
    this.failures.push(reason);
  }

  release({ address, length }: { address: number; length: number }): number {
    this.released.push([address, length]);
    return length;
  }
}
