/** Records that are looked at again and again: drawn anew with plots on a terminal, elsewhere a line a change. */
import { setTimeout as delay } from 'node:timers/promises';
import type { VmmctlCommand } from '../cli/command.js';
import { optionOr } from '../cli/flags.js';
import { parseDuration, parseInteger } from '../cli/parse.js';
import { escapeControls } from '../cli/view/escape.js';
import { LiveBlock } from '../cli/view/live.js';
import { MOST_VALUES, type Plot, renderPlots } from '../cli/view/plot.js';
import { type Column, renderRow } from '../cli/view/table.js';

/** What is watched. */
export interface Watched<R> {
  look(): Promise<R[]>;
  nameOf(record: R): string;
  /** What --quiet shows of one that has changed. */
  essential(record: R): string;
  columns(): readonly Column<R>[];
  /** What the plot has of a look, given the record of the one before. */
  valueOf(record: R, before: R | undefined): number | null;
  /** The value of a full block; the largest one that is shown when left out. */
  fullOf?(record: R): number;
}

export interface WatchOptions {
  /** Milliseconds. */
  readonly interval: number;
  /** How many looks; 0 is without end. */
  readonly count: number;
}

export const WATCH_FLAGS = {
  interval: optionOr('1s', {
    char: 'i',
    summary: 'pause between two looks',
    helpValue: 'DURATION',
    convert: parseDuration,
  }),
  count: optionOr('0', {
    char: 'c',
    summary: 'end after so many looks; 0 is without end',
    helpValue: 'N',
    convert: parseInteger(0, Number.MAX_SAFE_INTEGER),
  }),
} as const;

/** Ends with the command's signal, or when it has looked often enough. @throws what `look` throws. */
export async function watchRecords<R>(
  command: VmmctlCommand,
  watched: Watched<R>,
  options: WatchOptions,
): Promise<void> {
  const { io, flags } = command;
  const live = io.isTty.stdout && io.env.TERM !== 'dumb' && !flags.json && !flags.quiet;
  const looks = looksOf(watched, options, command.signal);
  command.endWithReader();
  if (live) await watchLive(command, watched, looks);
  else await watchLines(command, watched, looks);
}

async function* looksOf<R>(
  watched: Watched<R>,
  { interval, count }: WatchOptions,
  signal: AbortSignal,
): AsyncGenerator<R[]> {
  for (let done = 0; (count === 0 || done < count) && !signal.aborted; done++) {
    if (done > 0 && !(await pause(interval, signal))) return;
    yield await watched.look();
  }
}

/** Whether the pause was long enough, and not ended by the signal. */
async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await delay(ms, undefined, { signal });
    return true;
  } catch (error) {
    if (signal.aborted) return false;
    throw error;
  }
}

async function watchLive<R>(
  { io }: VmmctlCommand,
  watched: Watched<R>,
  looks: AsyncIterable<R[]>,
): Promise<void> {
  const block = new LiveBlock(io.stdout);
  const history = new History(watched);
  try {
    for await (const records of looks) {
      history.add(records);
      const look = { width: io.width, color: io.color.stdout };
      block.draw(await renderPlots(records, watched.columns(), (r) => history.plotOf(r), look));
    }
  } finally {
    block.end();
  }
}

/** The first look tells of all; then there is a line for each record that is not as it was. */
async function watchLines<R>(
  command: VmmctlCommand,
  watched: Watched<R>,
  looks: AsyncIterable<R[]>,
): Promise<void> {
  let before: Map<string, string> | undefined;
  for await (const records of looks) {
    const after = new Map(records.map((each) => [watched.nameOf(each), JSON.stringify(each)]));
    const isNew = (name: string) => before?.get(name) !== after.get(name);
    const changed = records.filter((record) => isNew(watched.nameOf(record)));
    const gone = [...(before?.keys() ?? [])].filter((name) => !after.has(name));
    const same = before !== undefined && changed.length === 0 && gone.length === 0;
    if (command.flags.json && !same) command.json(records, false);
    if (!command.flags.json) showChanges(command, watched, changed, gone);
    before = after;
  }
}

function showChanges<R>(
  command: VmmctlCommand,
  watched: Watched<R>,
  changed: readonly R[],
  gone: readonly string[],
): void {
  const columns = watched.columns();
  const changes = [
    ...changed.map((each) => ({ brief: watched.essential(each), text: renderRow(each, columns) })),
    ...gone.map((name) => ({ brief: name, text: `${escapeControls(name)}  gone` })),
  ];
  const time = new Date(command.io.now()).toISOString();
  for (const { brief, text } of changes) {
    command.out(command.flags.quiet ? `${escapeControls(brief)}\n` : `${time}  ${text}\n`);
  }
}

/** The values of each record's plot, as many as a terminal can show. */
class History<R> {
  readonly #watched: Watched<R>;
  #before = new Map<string, R>();
  #values = new Map<string, (number | null)[]>();

  constructor(watched: Watched<R>) {
    this.#watched = watched;
  }

  /** What is not among the records is forgotten. */
  add(records: readonly R[]): void {
    const values = new Map<string, (number | null)[]>();
    for (const record of records) {
      const name = this.#watched.nameOf(record);
      const value = this.#watched.valueOf(record, this.#before.get(name));
      values.set(name, [...(this.#values.get(name) ?? []), value].slice(-MOST_VALUES));
    }
    this.#values = values;
    this.#before = new Map(records.map((record) => [this.#watched.nameOf(record), record]));
  }

  plotOf(record: R): Plot {
    const values = this.#values.get(this.#watched.nameOf(record)) ?? [];
    const largest = Math.max(0, ...values.map((value) => value ?? 0));
    return { values, max: Math.max(largest, this.#watched.fullOf?.(record) ?? 0) };
  }
}
