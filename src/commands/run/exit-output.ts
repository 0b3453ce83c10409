/** Prints exits as they come, as the flags of `run` want them. */
import { once } from 'node:events';
import type { VmmctlCommand } from '../../cli/command.js';
import { renderJson } from '../../cli/view/json.js';
import type { Exit } from '../../core/client/exits.js';
import { isLast } from '../../core/client/vcpu.js';
import { EXIT_HEADING, exitJson, exitLine, rawText } from './exit-view.js';

export interface OutputOptions {
  raw: boolean;
  /** The most exits; without end when 0. */
  count: number;
}

/** Ends after the last exit that is wanted, or that there can be; gives how many there were, and the last one. */
export async function printExits(
  command: VmmctlCommand,
  exits: AsyncIterable<Exit>,
  { raw, count }: OutputOptions,
): Promise<Exit | undefined> {
  const { json, quiet } = command.flags;
  let number = 0;
  let last: Exit | undefined;
  for await (const exit of exits) {
    number += 1;
    last = exit;
    if (json) await put(command, renderJson(exitJson(exit, raw), false));
    else if (quiet) await put(command, `${exit.record.exit}\n`);
    else {
      const heading = number === 1 ? EXIT_HEADING : '';
      await put(command, `${heading}${exitLine(number, exit)}${raw ? rawText(exit) : ''}`);
    }
    if (number === count || isLast(exit.record, count > 0)) break;
  }
  return last;
}

/** A vCPU does not run ahead of who reads. */
async function put({ io, signal }: VmmctlCommand, text: string): Promise<void> {
  if (!io.stdout.write(text)) await once(io.stdout, 'drain', { signal });
}
