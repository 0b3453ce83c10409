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
    'The last lines of the log file; with --follow also what is written from then on.';
  static override examples = [
    { description: 'The last lines', command: 'vmmctl sim log --lines 20' },
    { description: 'Watch it', command: 'vmmctl sim log --follow' },
  ];
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
    const { logFile, host } = await simulatorStatus(simulatedHost(this.backendUri));
    const text = await readFrom(logFile, 0).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      if (this.flags.follow) return Buffer.alloc(0);
      throw new SystemError('ENOENT', { message: `host '${host}' has no log`, path: logFile });
    });
    this.io.stdout.write(lastLines(text, this.flags.lines));
    if (this.flags.follow) await this.#follow(logFile, text.length);
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
      const more = await readFrom(path, offset);
      offset += more.length;
      this.io.stdout.write(more);
    }
  }
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

function lastLines(text: Buffer, count: number): Buffer {
  if (count === 0) return Buffer.alloc(0);
  let at = text.length - 1;
  for (let found = 0; found < count && at > 0; found++) at = text.lastIndexOf(0x0a, at - 1);
  return text.subarray(Math.max(0, at + 1));
}
