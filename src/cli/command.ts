/**
 * What all commands share: flags and settings, the backend, output, notes and failures. It has the static shape
 * of an oclif command, so that oclif can run, parse and document it, but is not derived from oclif's class:
 * loading that takes longer than the rest of a start.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectOptions } from '../core/backend/connect.js';
import type { Backend, MachineName } from '../core/backend/port.js';
import { CodeError, exitStatus, renderError, UsageError } from './errors.js';
import type { RawInput } from './fast-parse.js';
import { type ArgTable, type FlagTable, GLOBAL_FLAGS, readValues, type Values } from './flags.js';
import { grammarOf, splitRest, wordsOf } from './grammar.js';
import type { Interrupts } from './interrupts.js';
import type { Io } from './io.js';
import { loadOclif } from './load-oclif.js';
import { formatDuration, parseBackendUri, parseDuration } from './parse.js';
import { spin } from './progress.js';
import {
  type ConfigFile,
  type KeyName,
  readConfig,
  readSetting,
  resolveSetting,
} from './settings.js';
import { checkExclusive, checkFlagNames, usageError } from './usage.js';
import { renderJson } from './view/json.js';
import { type Column, renderTable, type TableOptions } from './view/table.js';

const CLOSE_MS = 1000;

/** What a run of the program gives its command. */
export interface Invocation {
  io: Io;
  interrupts: Interrupts;
  connect(uri: string, options: ConnectOptions): Promise<Backend>;
  /** Ends the process quietly when nobody can read stdout any more. */
  endWithReader(): void;
  /** Shows help; words are those of a command or a topic. */
  showHelp(words: readonly string[]): Promise<void>;
  /** Every command's class by its id. */
  commands(): Promise<Readonly<Record<string, CommandClass>>>;
}

interface Tables {
  flags: FlagTable;
  args: ArgTable;
}

/** The static side of a command. */
export interface CommandClass extends Tables {
  new (invocation: Invocation, input: RawInput, argv: readonly string[]): VmmctlCommand;
  id: string;
  summary: string;
  examples: readonly { description: string; command: string }[];
  rest: boolean;
  bounded: boolean;
  hidden: boolean;
}

export abstract class VmmctlCommand<T extends Tables = Tables> {
  static id = '';
  static summary = '';
  static description = '';
  static examples: readonly { description: string; command: string }[] = [];
  static usage: string | undefined;
  static flags: FlagTable = {};
  static baseFlags: FlagTable = GLOBAL_FLAGS;
  static args: ArgTable = {};
  static hidden = false;
  /** What follows `--` belongs to the command as `this.argv`, and not to its arguments. */
  static rest = false;
  /** The command can act inside a guest, so `--in` has a meaning. */
  static guestView = false;
  /** `--timeout` bounds the whole command, not a step that the command names. */
  static bounded = false;
  /** A simulated host that does not run is started for the command. */
  static startsHost = true;

  /** Called by oclif. */
  static async run(this: CommandClass, argv: string[], config: unknown): Promise<number> {
    // biome-ignore lint/complexity/noThisInStatic: oclif calls it on the class that is to run.
    return runByOclif(this, argv, config);
  }

  readonly io: Io;
  readonly flags: Values<T['flags']> & Values<typeof GLOBAL_FLAGS>;
  readonly args: Values<T['args']>;
  /** The words after `--` of a command with `rest`. */
  readonly argv: readonly string[];
  readonly invocation: Invocation;
  /** The exit status when `run` ends without throwing. */
  status = 0;
  readonly #config: ConfigFile;
  #backend: Promise<Backend> | undefined;

  constructor(invocation: Invocation, input: RawInput, argv: readonly string[]) {
    const Class = this.constructor as typeof VmmctlCommand;
    const title = (name: string) => `--${name}`;
    this.invocation = invocation;
    this.io = invocation.io;
    this.argv = argv;
    this.flags = {
      ...(readValues(Class.flags, input.flags, title) as Values<T['flags']>),
      ...readValues(GLOBAL_FLAGS, input.flags, title),
    };
    this.args = readValues(Class.args, input.args, (name) => name.toUpperCase()) as Values<
      T['args']
    >;
    this.#config = Class.id.startsWith('config') ? {} : readConfig(this.io.env);
    if (this.flags.in !== undefined && this.flags.in !== 'host' && !Class.guestView) {
      throw new UsageError('--in has no meaning here', 'this command acts on the host');
    }
    this.signal = invocation.interrupts.signal;
  }

  abstract run(): Promise<void>;

  /** Aborted when the command is to end: by a signal of the system, or (`bounded`) by `--timeout`. */
  signal: AbortSignal;

  get timeoutMs(): number | undefined {
    if (this.flags.timeout !== undefined) return this.flags.timeout;
    return this.#read('timeout', undefined, parseDuration);
  }

  /** Whose nodes and sockets to use: those of the guest named by `--in`, or the host's. */
  get machine(): MachineName {
    const Class = this.constructor as typeof VmmctlCommand;
    const { value } = this.setting('in', this.flags.in);
    return !Class.guestView || value === undefined || value === 'host' ? 'host' : { vm: value };
  }

  get backendUri(): string {
    return this.#read('backend', this.flags.backend, parseBackendUri) ?? 'sim';
  }

  /** Connects at the first call; closed when the command ends. */
  backend(): Promise<Backend> {
    this.#backend ??= this.invocation.connect(this.backendUri, {
      caller: { uid: this.flags.as?.uid, gid: this.flags.as?.gid, jail: this.flags.jail },
      trace: wantsTrace(this.io.env.DEBUG) ? (line) => this.#message(line) : undefined,
      ...((this.constructor as typeof VmmctlCommand).startsHost ? {} : { start: false }),
    });
    return this.#backend;
  }

  /** Data, to stdout. */
  out(text: string): void {
    this.io.stdout.write(text);
  }

  /** For what waits to tell something: the command ends, quietly, when nobody can read stdout any more. */
  endWithReader(): void {
    this.invocation.endWithReader();
  }

  /** A message for people, to stderr; silent with --quiet and --json. */
  note(text: string): void {
    if (!this.flags.quiet && !this.flags.json) this.#message(text);
  }

  /** What is done, to stderr, with --verbose. */
  verbose(text: string): void {
    if (this.flags.verbose) this.#message(text);
  }

  /** One JSON document: on one line, but indented where a person reads it. */
  json(value: unknown, pretty = this.io.isTty.stdout): void {
    this.out(renderJson(value, pretty));
  }

  async table<R>(
    rows: readonly R[],
    columns: readonly Column<R>[],
    options: Partial<TableOptions> = {},
  ): Promise<void> {
    const { io } = this;
    const surroundings = { terminal: io.isTty.stdout, width: io.width, color: io.color.stdout };
    this.out(await renderTable(rows, columns, { ...surroundings, ...options }));
  }

  /** Reports an error and goes on; the first one gives the exit status. */
  fail(error: unknown): void {
    if (this.status === 0) this.status = exitStatus(error);
    const context = wordsOf((this.constructor as typeof VmmctlCommand).id);
    this.io.stderr.write(renderError(error, { context, json: this.flags.json }));
  }

  /** Shows a spinner on a terminal while something takes its time. */
  progress<R>(text: string, work: Promise<R>): Promise<R> {
    const shown = this.io.isTty.stderr && !this.flags.quiet && !this.flags.json;
    return shown ? spin(this.io, text, work) : work;
  }

  /** Runs one step under `--timeout`, if there is one: the step's signal is aborted and ETIMEDOUT thrown. */
  async within<R>(step: (signal: AbortSignal) => Promise<R>): Promise<R> {
    const ms = this.timeoutMs;
    if (ms === undefined) return step(this.signal);
    const limit = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(notInTime(ms));
        limit.abort();
      }, ms);
    });
    try {
      return await Promise.race([step(AbortSignal.any([this.signal, limit.signal])), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** A backend that does not answer doesn't keep the command from ending. */
  async close(): Promise<void> {
    if (!this.#backend) return;
    const closing = this.#backend.then(
      (backend) => backend.close(),
      () => {},
    );
    await Promise.race([closing, sleep(CLOSE_MS, undefined, { ref: false })]);
  }

  protected setting(key: KeyName, given: string | undefined) {
    return resolveSetting(key, given, this.io.env, this.#config);
  }

  #read<V>(key: KeyName, given: string | undefined, convert: (text: string) => V): V | undefined {
    return readSetting(key, this.setting(key, given), this.io.env, convert);
  }

  #message(text: string): void {
    this.io.stderr.write(`${text}\n`);
  }
}

async function runByOclif(Class: CommandClass, argv: string[], config: unknown): Promise<number> {
  const { options } = config as { options: { invocation: Invocation } };
  const { own, rest } = splitRest(Class, argv);
  const grammar = grammarOf(Class);
  const words = wordsOf(Class.id);
  const wrong = checkFlagNames(own, grammar, words);
  if (wrong) throw wrong;
  const result = await (await loadOclif()).parse(grammar, own);
  if ('problem' in result) throw usageError(result.problem, grammar, words);
  const clash = checkExclusive(result.input, grammar, words);
  if (clash) throw clash;
  return execute(Class, options.invocation, result.input, rest);
}

/** Makes the command and runs it to its end; gives its exit status. */
export async function execute(
  Class: CommandClass,
  invocation: Invocation,
  input: RawInput,
  argv: readonly string[],
): Promise<number> {
  const command = new Class(invocation, input, argv);
  try {
    if (Class.bounded) {
      await command.within((signal) => {
        command.signal = signal;
        return command.run();
      });
    } else {
      await command.run();
    }
  } finally {
    await command.close();
  }
  return command.status;
}

/** What `--timeout` ends a command with. */
export function notInTime(ms: number): CodeError {
  return new CodeError('ETIMEDOUT', `not done within ${formatDuration(ms)}`);
}

/** Whether DEBUG asks for a trace of calls, as `vmmctl:*` does. */
export function wantsTrace(debug: string | undefined): boolean {
  return (debug ?? '').split(/[\s,]+/).some((name) => /^(\*|vmmctl(:.*)?)$/.test(name));
}
