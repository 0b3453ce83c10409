/**
 * What joins VirtualBox's device to the guest that it is in: memory, ports, a line that interrupts. Neither half sees
 * more of the other, so that either can be replaced by a real one.
 */
import type { Clock } from '../clock.js';
import type { Deadlines } from '../deadlines.js';
import type { Rng } from '../rng.js';
import type { HgcmService } from './hgcm-service.js';

/** A guest's physical memory as a device reaches it. Addresses and lengths are in bytes. */
export interface PhysicalMemory {
  /** Bytes; it may change while the VM is set up. */
  readonly size: number;
  /** A copy. @throws RangeError where there is no memory. */
  read(address: number, length: number): Uint8Array;
  /** @throws RangeError where there is no memory; nothing is written then. */
  write(address: number, data: Uint8Array): void;
}

/** Memory as the guest's kernel hands it out. Pages are 4 KiB. */
export interface GuestPages extends PhysicalMemory {
  /** Bytes that nobody has. */
  readonly free: number;
  /** Contiguous zeroed pages below 4 GiB that hold `bytes`; undefined when there are none. */
  allocate(bytes: number): number | undefined;
  /** Gives back what `allocate` gave. */
  release(address: number): void;
  /** One page, as the balloon takes them; undefined when there is none. */
  allocatePage(): number | undefined;
  releasePage(address: number): void;
}

/** The PCI device as a driver in the guest reaches it. */
export interface DevicePorts {
  /**
   * BAR0, offset 0: the physical address of a request. The request has been answered when this returns; where its status
   * is VINF_HGCM_ASYNC_EXECUTE it will be, with an event.
   */
  writeRequest(address: number): void;
  /** BAR0, offset 8: acknowledges events and gives them, in one access. */
  readFastIrqAck(): number;
  /** Port 0x504. */
  writeLog(byte: number): void;
  /** BAR1, VMMDevMemory. @throws RangeError outside of it. */
  readRam(offset: number, length: number): Uint8Array;
}

/** What the device has of the machine that it is in. */
export interface DevicePlatform {
  readonly memory: PhysicalMemory;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly rng: Rng;
  /** Services by the name under which a guest connects to them. */
  readonly services: ReadonlyMap<string, HgcmService>;
  /** The level of the interrupt line. */
  setInterrupt(raised: boolean): void;
  /** A line in the host's log. Text from the guest may be in it as it is. */
  log(text: string): void;
}

/** What the driver has of the machine that it is in. */
export interface DriverPlatform {
  readonly pages: GuestPages;
  readonly ports: DevicePorts;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** A line in the guest's kernel log. */
  log(text: string): void;
}
