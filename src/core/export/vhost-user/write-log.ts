/** What a front-end has said of the log of written pages, and the descriptor that it gave for news of it. */
import { DirtyLog } from './dirty-log.js';
import { dontWait, tellBy } from './event-fd.js';
import type { GuestMemory } from './memory.js';
import type { FileRange } from './shared-files.js';
import type { System } from './system.js';

export class WriteLog {
  readonly #system: System;
  readonly #memory: GuestMemory;
  #log: DirtyLog | undefined;
  #event: number | undefined;
  #enabled = false;

  constructor(system: System, memory: GuestMemory) {
    this.#system = system;
    this.#memory = memory;
  }

  /** Takes another place for the bits; the descriptor stays the caller's. @throws MemoryError */
  use(range: FileRange): void {
    const log = new DirtyLog(this.#system, range, () => this.#tell());
    this.#log?.release();
    this.#log = log;
    this.enable(this.#enabled);
  }

  /** Marks pages from now on, or no more. */
  enable(enabled: boolean): void {
    this.#enabled = enabled;
    this.#memory.dirty = enabled ? this.#log : undefined;
  }

  /** Takes the descriptor by which the front-end is told that there are new bits. */
  setEvent(fd: number | undefined): void {
    if (this.#event !== undefined) this.#system.libc.close(this.#event);
    this.#event = fd;
    if (fd !== undefined) dontWait(this.#system.libc, fd);
  }

  close(): void {
    this.enable(false);
    this.#log?.release();
    this.#log = undefined;
    this.setEvent(undefined);
  }

  #tell(): void {
    if (this.#event === undefined || tellBy(this.#system.libc, this.#event)) return;
    this.setEvent(undefined);
  }
}
