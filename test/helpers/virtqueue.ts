/** Virtqueues without a ring, for tests of devices: the test is the driver. */
import type { Chain, DeviceHost, DeviceQueue } from '../../src/core/export/vhost-user/device.js';

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
    this.available.push({ readable: [], writable: sizes.map((size) => new Uint8Array(size)) });
  }

  /** Makes bytes available, in pieces. */
  send(...readable: Uint8Array[]): void {
    this.available.push({ readable, writable: [] });
  }

  /** What was written into each chain that came back, since the last call. */
  written(): Uint8Array[] {
    return this.used.splice(0).map(({ chain, written }) => {
      return new Uint8Array(Buffer.concat(chain.writable).subarray(0, written));
    });
  }
}

/** The server of a device, as the device sees it. */
export class FakeDeviceHost implements DeviceHost {
  configChanges = 0;
  readonly failures: string[] = [];
  /** Ranges that were given back: address and length; of views their lengths. */
  readonly released: (number | [number, number])[] = [];

  configChanged(): void {
    this.configChanges++;
  }

  fail(reason: string): void {
    this.failures.push(reason);
  }

  release(range: Uint8Array | { address: number; length: number }): number {
    if (range instanceof Uint8Array) this.released.push(range.length);
    else this.released.push([range.address, range.length]);
    return range.length;
  }
}
