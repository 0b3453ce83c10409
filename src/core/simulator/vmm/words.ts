/** The words of one line of a program, taken one after the other. All errors are EINVAL with the line's number. */
import { SystemError } from '../../abi/errno.js';

const NUMBER = /^(?:0x[0-9a-f]{1,16}|\d{1,20})$/i;

export class Words {
  readonly line: number;
  readonly #words: readonly string[];
  #at = 0;

  constructor(line: number, words: readonly string[]) {
    this.line = line;
    this.#words = words;
  }

  /** Whether all words have been taken. */
  get done(): boolean {
    return this.#at >= this.#words.length;
  }

  fail(message: string): never {
    throw new SystemError('EINVAL', { message: `line ${this.line}: ${message}` });
  }

  /** The next word; `name` says in an error what is missing. */
  word(name: string): string {
    const word = this.#words[this.#at++];
    return word ?? this.fail(`${name} is missing`);
  }

  /** One of some words, as what the table has for it. */
  choice<T>(name: string, choices: Readonly<Record<string, T>>): T {
    const word = this.word(name);
    const found = Object.hasOwn(choices, word) ? choices[word] : undefined;
    return found ?? this.fail(`${name} is ${Object.keys(choices).join(', ')}, not ${word}`);
  }

  /** A number of at most 64 bits, decimal or hexadecimal. */
  long(name: string, max = 2n ** 64n - 1n): bigint {
    const word = this.word(name);
    const value = NUMBER.test(word) ? BigInt(word) : max + 1n;
    return value <= max ? value : this.fail(`${name} is a number up to ${max}, not ${word}`);
  }

  /** A number of at most 53 bits. */
  int(name: string, max = 0xffffffff): number {
    return Number(this.long(name, BigInt(max)));
  }

  /** What the reader makes of the next word, or `missing` when there is none. */
  optional<T, M>(read: () => T, missing: M): T | M {
    return this.done ? missing : read();
  }

  /** Nothing may be left. */
  end(usage: string): void {
    if (!this.done) this.fail(`${this.word('')} is too much: ${usage}`);
  }
}
