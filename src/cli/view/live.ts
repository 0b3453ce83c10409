/** A block of lines on a terminal that is drawn again in place. */
import type { Writable } from 'node:stream';

const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const CLEAR_BELOW = '\u001b[0J';

export class LiveBlock {
  #lines = 0;
  readonly #stream: Writable;

  constructor(stream: Writable) {
    this.#stream = stream;
  }

  /** Lines that the terminal has no room for are left out: it could not go back up to them. */
  draw(text: string): void {
    const room = ('rows' in this.#stream && Number(this.#stream.rows)) || Number.POSITIVE_INFINITY;
    const lines = text
      .trimEnd()
      .split('\n')
      .slice(0, room - 1);
    const up = this.#lines > 0 ? `\u001b[${this.#lines}A\r` : HIDE_CURSOR;
    this.#stream.write(`${up}${CLEAR_BELOW}${lines.join('\n')}\n`);
    this.#lines = lines.length;
  }

  /** Leaves the last drawing where it is. */
  end(): void {
    if (this.#lines > 0) this.#stream.write(SHOW_CURSOR);
  }
}
