/** The daemon's log: one line an event, with the time; a full file is kept once under another name. */
import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';

/** Bytes after which a new file is begun. */
const MAX_LOG = 1024 * 1024;

export class Log {
  readonly #path: string;
  #fd: number;

  constructor(path: string) {
    this.#path = path;
    this.#fd = openSync(path, 'a', 0o600);
  }

  /** Writes a line; control characters of names from outside are shown, not written. */
  write(text: string): void {
    const line = text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (c) => {
      return `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`;
    });
    try {
      if (fstatSync(this.#fd).size > MAX_LOG) this.#rotate();
      writeSync(this.#fd, `${new Date().toISOString()} ${line}\n`);
    } catch {
      // A full disk must not end the host, and there is nowhere else to say it.
    }
  }

  #rotate(): void {
    closeSync(this.#fd);
    renameSync(this.#path, `${this.#path}.1`);
    this.#fd = openSync(this.#path, 'a', 0o600);
  }
}
