/** What a front-end has said of one ring, and the descriptors that it gave for it. */
import { EPOLLIN } from '../../native/reactor.js';
import { dontWait, tellBy } from './event-fd.js';
import type { SplitQueue } from './queue.js';
import type { RingAddresses } from './ring.js';
import type { System } from './system.js';

export class Vring {
  readonly index: number;
  readonly #system: System;
  /** Entries; 0 until they are told. */
  num = 0;
  base = 0;
  addresses: RingAddresses | undefined;
  /** The used ring's guest address, where writes to it are to be marked. */
  logAddress: number | undefined;
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
    if (fd !== undefined) dontWait(this.#system.libc, fd);
  }

  /** Takes the descriptor by which the front-end is told of errors. */
  setErr(fd: number | undefined): void {
    this.#drop(this.#err);
    this.#err = fd;
    if (fd !== undefined) dontWait(this.#system.libc, fd);
  }

  /** Interrupts the driver. False where it has to be done in band, or not at all. */
  call(): boolean {
    if (this.#call === undefined) return false;
    if (!tellBy(this.#system.libc, this.#call)) this.setCall(undefined);
    return true;
  }

  /** Tells the front-end that this ring is beyond repair, if it wants to know. */
  error(): void {
    if (this.#err !== undefined) tellBy(this.#system.libc, this.#err);
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
}
