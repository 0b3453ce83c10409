/** The examples of the documents: command lines in help texts, in README.md and in the manual. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loaders } from '../../src/commands/index.js';

/** Command lines, each with the places where it stands. */
export async function allExamples(): Promise<Map<string, string[]>> {
  const examples = new Map<string, string[]>();
  const add = (line: string, place: string) => {
    examples.set(line, [...(examples.get(line) ?? []), place]);
  };
  for (const [id, load] of Object.entries(loaders)) {
    const Class = (await load()).default as { examples: { command: string }[] };
    for (const { command } of Class.examples) add(command, `help of ${id.replaceAll(':', ' ')}`);
  }
  for (const line of shellBlocks(readFileSync('README.md', 'utf8'))) add(line, 'README.md');
  for (const file of readdirSync('man')) {
    const text = readFileSync(join('man', file), 'utf8');
    for (const line of manExamples(text)) add(line, file);
  }
  return examples;
}

/** Whether it uses this machine's own nodes and sockets: it is run in a lab. */
export function isForDevice(line: string): boolean {
  return /(-b|--backend|VMMCTL_BACKEND)[ =]device/.test(line);
}

/** The lines of blocks that begin with ```sh. */
export function shellBlocks(markdown: string): string[] {
  const blocks = [...markdown.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, text = '']) => text);
  return blocks.flatMap((text) => text.split('\n')).filter((line) => /^[^#\s]/.test(line));
}

/** The lines that begin with `$ ` in the section EXAMPLES of a page in mdoc. */
export function manExamples(page: string): string[] {
  const section = page.split(/^\.Sh /m).find((text) => text.startsWith('EXAMPLES')) ?? '';
  const lines = [...section.matchAll(/^(?:\.Dl )?\$ (.*)$/gm)].map(([, line = '']) => line);
  const plain = (line: string) => line.replaceAll('\\(dq', '"').replaceAll('\\-', '-');
  return lines.map((line) => plain(line).replaceAll('\\e', '\\'));
}
