/** A block of lines on a terminal that is drawn again in place. */
import type { Writable } from 'node:stream';

const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const CLEAR_BELOW = '\u001b[0J';
const CLEAR_SCREEN = '\u001b[2J\u001b[H';

export class LiveBlock {
  #lines = 0;
  #columns = 0;
  readonly #stream: Writable;

  constructor(stream: Writable) {
    this.#stream = stream;
  }

  /** What the terminal has no room for is left out: it could not go back up over it. */
  draw(text: string): void {
    const lines = text
      .trimEnd()
      .split('\n')
      .slice(0, this.#room('rows') - 1)
      .map((line) => clip(line, this.#room('columns')));
    this.#stream.write(`${this.#goBack()}${CLEAR_BELOW}${lines.join('\n')}\n`);
    this.#lines = lines.length;
  }

  /** A terminal that was never told its size says 0. */
  #room(side: 'rows' | 'columns'): number {
    const size = side in this.#stream ? Number(Reflect.get(this.#stream, side)) : 0;
    return size || Number.POSITIVE_INFINITY;
  }

  /** Terminals differ in what becomes of lines when the width changes, so nobody knows how far up they begin. */
  #goBack(): string {
    const columns = this.#room('columns');
    const resized = columns !== this.#columns;
    this.#columns = columns;
    if (this.#lines === 0) return HIDE_CURSOR;
    return resized ? CLEAR_SCREEN : `\u001b[${this.#lines}A\r`;
  }

  /** Leaves the last drawing where it is. */
  end(): void {
    if (this.#lines > 0) this.#stream.write(SHOW_CURSOR);
  }
}

/** The characters that fit; colours stay as they are. */
function clip(line: string, width: number): string {
  let room = width;
  return line.replace(/\u001b\[[\d;]*m|./gsu, (piece) => {
    if (piece.startsWith('\u001b')) return piece;
    room -= 1;
    return room >= 0 ? piece : '';
  });
}
