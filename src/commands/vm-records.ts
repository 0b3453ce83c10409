/** Records that a host has of each of its VMs: those that a command line names, or all. */
import type { VmmctlCommand } from '../cli/command.js';
import { UsageError } from '../cli/errors.js';
import { args } from '../cli/flags.js';
import { escapeControls } from '../cli/view/escape.js';
import type { Column } from '../cli/view/table.js';
import { SystemError } from '../core/abi/errno.js';
import type { Backend } from '../core/backend/port.js';
import { vmName, withNearNames } from './vm-name.js';

/** Some VMs, or all. */
export const VM_ARGS = {
  vm: args({ summary: 'names of VMs; all when left out', convert: vmName }),
} as const;

/** Of one VM, or of all; ENOENT when there is none of the name. */
export type ReadRecords<R> = (name?: string) => Promise<R[]>;

export interface Chosen<R> {
  /** In the order of the names on the command line, or sorted by theirs. */
  found: R[];
  /** An error for each name that no VM has, with the names that may have been meant. */
  missing: unknown[];
}

/** @param names without any, all records are chosen. */
export async function chooseRecords<R extends { vm: string | null }>(
  read: ReadRecords<R>,
  names: readonly string[],
  backend: Backend,
): Promise<Chosen<R>> {
  if (names.length === 0) return { found: (await read()).sort(byName), missing: [] };
  const chosen: Chosen<R> = { found: [], missing: [] };
  for (const name of new Set(names)) {
    try {
      chosen.found.push(...(await read(name)));
    } catch (error) {
      if (!(error instanceof SystemError) || error.code !== 'ENOENT') throw error;
      chosen.missing.push(await withNearNames(error, backend, name));
    }
  }
  return chosen;
}

/** Shows what was chosen: a document where nothing failed, the essential of each with --quiet, else a table. */
export async function showRecords<R extends { vm: string | null }>(
  command: VmmctlCommand,
  { found, missing }: Chosen<R>,
  columns: readonly Column<R>[],
  essential: (record: R) => string,
): Promise<void> {
  for (const error of missing) command.fail(error);
  if (command.flags.json) {
    if (command.status === 0) command.json(found);
  } else if (command.flags.quiet) {
    command.out(found.map((record) => `${escapeControls(essential(record))}\n`).join(''));
  } else await command.table(found, columns);
}

/** By code units, as in a list of VMs. */
function byName(a: { vm: string | null }, b: { vm: string | null }): number {
  const [x, y] = [a.vm ?? '', b.vm ?? ''];
  return x < y ? -1 : x > y ? 1 : 0;
}

/**
 * A way to look at some VMs again and again. Each has to be there at the first look; one that is gone later is left out,
 * unless it was the last.
 */
export function watchedVms<R extends { vm: string | null }>(
  read: ReadRecords<R>,
  names: readonly string[],
  backend: Backend,
): () => Promise<R[]> {
  let looks = 0;
  return async () => {
    const { found, missing } = await chooseRecords(read, names, backend);
    if (missing.length > 0 && (looks === 0 || found.length === 0)) throw missing[0];
    looks += 1;
    return found;
  };
}

/** What the host finds wrong with a value is wrong usage; any other error stays what it is. */
export function refusedValue(error: unknown, codes: readonly string[] = ['EINVAL']): unknown {
  const refused = error instanceof SystemError && codes.includes(error.code);
  return refused ? new UsageError(error.message, error.hint) : error;
}
