/** Files that a command line names, with a limit. */
import { open } from 'node:fs/promises';
import type { VmmctlCommand } from '../../cli/command.js';
import { UsageError } from '../../cli/errors.js';
import { formatSize } from '../../cli/parse.js';
import { SystemError } from '../../core/abi/errno.js';

/**
 * Reads a file, or standard input for `-`.
 * @throws UsageError when it is longer than `limit` bytes; a system error of Node's.
 */
export async function readBounded(
  command: VmmctlCommand,
  path: string,
  limit: number,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of path === '-' ? command.io.stdin : await fileStream(path, limit)) {
    const bytes = Buffer.from(part as Uint8Array);
    length += bytes.length;
    if (length > limit) throw new UsageError(`'${path}' is longer than ${formatSize(limit)}`);
    parts.push(bytes);
  }
  return Buffer.concat(parts);
}

async function fileStream(path: string, limit: number): Promise<NodeJS.ReadableStream> {
  const file = await open(path, 'r');
  if ((await file.stat()).isDirectory()) {
    await file.close();
    throw new SystemError('EISDIR', { path });
  }
  return file.createReadStream({ end: limit });
}
