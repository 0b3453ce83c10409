/** `vmmctl sim log`: what a simulated host wrote down. */
import { open, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { VmmctlCommand } from '../../cli/command.js';
import { flag, optionOr } from '../../cli/flags.js';
import { parseInteger } from '../../cli/parse.js';
import { SystemError } from '../../core/abi/errno.js';
import { simulatorStatus } from '../../core/backend/simulator/control.js';
import { simulatedHost } from './host.js';

const POLL_MS = 200;

export default class SimLog extends VmmctlCommand<typeof SimLog> {
  static override summary = 'print the log of the simulated host';
  static override description =
    'The last lines of the log file; with --follow also what is written from then on. With --json they are an array,\n' +
    'with --follow a document a line.';
  static override examples = [
    { description: 'The last lines', command: 'vmmctl sim log --lines 20' },
    { description: 'Watch it', command: 'vmmctl sim log --follow' },
  ];
  static override bounded = true;
  static override flags = {
    follow: flag({ char: 'f', summary: 'go on as it grows' }),
    lines: optionOr('100', {
      char: 'n',
      summary: 'how many lines from its end',
      helpValue: 'N',
      convert: parseInteger(0, 1_000_000),
    }),
  };

  async run(): Promise<void> {
    const { follow, json, lines } = this.flags;
    const { logFile, host } = await simulatorStatus(simulatedHost(this.backendUri));
    const text = await readFrom(logFile, 0).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      if (follow) return Buffer.alloc(0);
      throw new SystemError('ENOENT', { message: `host '${host}' has no log`, path: logFile });
    });
    const read = follow ? wholeLines(text) : text;
    const last = lines === 0 ? [] : linesOf(read).slice(-lines);
    if (json && !follow) return this.json(last.map(entryOf));
    this.#show(last);
    if (!follow) return;
    this.endWithReader();
    await this.#follow(logFile, read.length);
  }

  /** A file that became shorter was begun anew. */
  async #follow(path: string, from: number): Promise<void> {
    let offset = from;
    while (!this.signal.aborted) {
      await sleep(POLL_MS, undefined, { signal: this.signal }).catch(() => {});
      const size = await stat(path).then(
        (found) => found.size,
        () => 0,
      );
      if (size < offset) offset = 0;
      if (size === offset) continue;
      const more = wholeLines(await readFrom(path, offset));
      offset += more.length;
      this.#show(linesOf(more));
    }
  }

  #show(lines: readonly string[]): void {
    if (!this.flags.json) this.out(lines.map((line) => `${line}\n`).join(''));
    else for (const line of lines) this.json(entryOf(line), false);
  }
}

/** A line that was not written by the log has no time. */
function entryOf(line: string): { time: string | null; text: string } {
  const [, time = null, text = line] = /^(\d{4}-\S+Z) (.*)$/.exec(line) ?? [];
  return { time, text };
}

async function readFrom(path: string, offset: number): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const buffer = Buffer.alloc(Math.max(0, size - offset));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** Without a last line that is still being written. */
function wholeLines(text: Buffer): Buffer {
  return text.subarray(0, text.lastIndexOf('\n') + 1);
}

function linesOf(text: Buffer): string[] {
  const lines = text.toString().split('\n');
  return lines.at(-1) === '' ? lines.slice(0, -1) : lines;
}
