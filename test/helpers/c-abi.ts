/** Asks the C compiler for the sizes, offsets and numbers that a layout claims. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { ComparedLayout } from './golden.js';

/** A C program that prints one number a line, and what we expect there. */
export class AbiProgram {
  readonly expected: Record<string, number> = {};
  readonly #prelude: string;
  readonly #lines: string[] = [];

  /** `prelude` has the includes and declarations. */
  constructor(prelude: string) {
    this.#prelude = prelude;
  }

  /** Size of a struct; offset and size of its fields, which are no bit-fields. */
  addStruct(layout: ComparedLayout): void {
    this.#add(`sizeof ${layout.name}`, `sizeof(struct ${layout.name})`, layout.size);
    for (const { name, offset, size } of layout.fields) {
      const field = `${layout.name}.${name}`;
      this.#add(`offset of ${field}`, `offsetof(struct ${layout.name}, ${name})`, offset);
      this.#add(`size of ${field}`, `sizeof(((struct ${layout.name} *)0)->${name})`, size);
    }
  }

  /** A C expression that is a number of at most 32 bits. */
  addNumber(expression: string, number: number): void {
    this.#add(expression, `(unsigned)(${expression})`, number);
  }

  #add(label: string, expression: string, value: number): void {
    this.expected[label] = value;
    this.#lines.push(`printf("%llu\\t%s\\n", (unsigned long long)(${expression}), "${label}");`);
  }

  /** The program's text. */
  source(): string {
    return `${this.#prelude}\nint main(void)\n{\n${this.#lines.join('\n')}\nreturn 0;\n}\n`;
  }
}

/** Compiles and runs a program, and compares what it prints. */
export function compareWithCompiler(t: Test, program: AbiProgram): void {
  const directory = t.testdir();
  const source = join(directory, 'abi.c');
  const binary = join(directory, 'abi');
  writeFileSync(source, program.source());
  execFileSync('cc', ['-std=gnu11', '-o', binary, source], { stdio: ['ignore', 'pipe', 'pipe'] });
  const lines = execFileSync(binary, { encoding: 'utf8' }).trim().split('\n');
  const found = lines
    .filter((line) => line !== '')
    .map((line): [string, number] => {
      const [value = '', label = ''] = line.split('\t');
      return [label, Number(value)];
    });
  t.strictSame(Object.fromEntries(found), program.expected);
}
