/** What a front-end has said of one ring, and the descriptors that it gave for it. */
import { constants } from 'node:os';
import { EPOLLIN } from '../../native/reactor.js';
import type { SplitQueue } from './queue.js';
import type { RingAddresses } from './ring.js';
import type { System } from './system.js';

const [F_GETFL, F_SETFL, O_NONBLOCK] = [3, 4, 0o4000];
/** What an eventfd takes: a count that is added. */
const ONE = new Uint8Array(new BigUint64Array([1n]).buffer);
const AGAIN = -constants.errno.EAGAIN;

export class Vring {
  readonly index: number;
  readonly #system: System;
  /** Entries; 0 until they are told. */
  num = 0;
  base = 0;
  addresses: RingAddresses | undefined;
  /** A ring starts with the first kick and stops with GET_VRING_BASE; it runs while it is enabled as well. */
  started = false;
  enabled = false;
  /** It runs. */
  queue: SplitQueue | undefined;
  #kick: number | undefined;
  #call: number | undefined;
  #err: number | undefined;

  constructor(system: System, index: number) {
    this.#system = system;
    this.index = index;
  }

  /**
   * Takes the descriptor that tells of kicks; none for kicks in band. Each count that is added is an event of its own, so
   * nothing is read from it: another one who reads it could make that wait. A negated errno where it can't be watched.
   */
  setKick(fd: number | undefined, kicked: () => void): number {
    this.#drop(this.#kick);
    this.#kick = fd;
    if (fd === undefined) return 0;
    return this.#system.reactor.add(fd, (events) => {
      if (events & EPOLLIN) kicked();
    });
  }

  /** Takes the descriptor by which the driver is interrupted. */
  setCall(fd: number | undefined): void {
    this.#drop(this.#call);
    this.#call = fd;
    if (fd !== undefined) this.#dontWait(fd);
  }

  /** Takes the descriptor by which the front-end is told of errors. */
  setErr(fd: number | undefined): void {
    this.#drop(this.#err);
    this.#err = fd;
    if (fd !== undefined) this.#dontWait(fd);
  }

  /** Interrupts the driver. False where it has to be done in band, or not at all. */
  call(): boolean {
    if (this.#call === undefined) return false;
    const result = this.#system.libc.write(this.#call, ONE);
    // A full count is an interrupt that is still to be seen.
    if (result < 0 && result !== AGAIN) this.setCall(undefined);
    return true;
  }

  /** Tells the front-end that this ring is beyond repair, if it wants to know. */
  error(): void {
    if (this.#err !== undefined) this.#system.libc.write(this.#err, ONE);
  }

  /** Forgets all, and closes the descriptors. */
  close(): void {
    this.setKick(undefined, () => undefined);
    this.setCall(undefined);
    this.setErr(undefined);
    this.started = false;
    this.enabled = false;
  }

  #drop(fd: number | undefined): void {
    if (fd === undefined) return;
    this.#system.reactor.remove(fd);
    this.#system.libc.close(fd);
  }

  /** A count can be full, and the one who writes must not wait. */
  #dontWait(fd: number): void {
    const flags = this.#system.libc.fcntl(fd, F_GETFL, 0);
    if (flags >= 0) this.#system.libc.fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  }
}
