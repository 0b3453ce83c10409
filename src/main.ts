/**
 * Where vmmctl starts: puts the parts together, finds the command, and runs it the short way, or by oclif when
 * the short way is not certain of what was typed.
 */
import { dirname } from 'node:path';
import { type CommandClass, execute, type Invocation, wantsTrace } from './cli/command.js';
import {
  exitStatus,
  isCodedError,
  renderError,
  STATUS,
  StatusError,
  UsageError,
} from './cli/errors.js';
import { endOfFlags, fastParse } from './cli/fast-parse.js';
import {
  commandWords,
  type Found,
  findCommand,
  findTopic,
  unknownCommand,
  wordBehind,
} from './cli/find-command.js';
import { grammarOf, splitRest, wordsOf } from './cli/grammar.js';
import { die, Interrupts } from './cli/interrupts.js';
import { type Io, processIo } from './cli/io.js';
import { loadOclif } from './cli/load-oclif.js';
import type { OclifOptions } from './cli/oclif.js';
import { flush, guardOutput, guardReader } from './cli/pipes.js';
import { topicList } from './cli/topics.js';
import { HIDDEN, loaders } from './commands/index.js';
import type { ConnectOptions } from './core/backend/connect.js';
import type { Backend } from './core/backend/port.js';
import { VERSION } from './version.js';

/** The commands that oclif finds; filled before oclif is asked, since loading them all takes time. */
export const COMMANDS: Record<string, CommandClass> = {};

const IDS = Object.keys(loaders);
const VISIBLE_IDS = IDS.filter((id) => !HIDDEN.includes(id));

/** Where the files that oclif reads are. */
export interface Places {
  /** The directory of package.json. */
  root: string;
  /** The file of this module, as built. */
  self: string;
}

/** What one run has around it; a test puts its own there. */
export interface Surroundings {
  io: Io;
  interrupts: Interrupts;
  places: Places;
  connect: Invocation['connect'];
  endWithReader: Invocation['endWithReader'];
}

/** Runs the process from its arguments to its end. */
export async function main(given: Partial<Surroundings> = {}): Promise<void> {
  const argv = process.argv.slice(2);
  // What counts when Node runs out of things to wait for before the command has ended.
  process.exitCode = STATUS.failed;
  guardOutput(() => wantsJson(argv));
  const interrupts = new Interrupts();
  interrupts.install();
  const status = await run(argv, {
    io: processIo(),
    interrupts,
    places: given.places ?? bundled(),
    connect,
    endWithReader: () => guardReader(hangUp),
    ...given,
  });
  await flush(process.stdout);
  await flush(process.stderr);
  if (interrupts.received) die(interrupts.received);
  else process.exit(status);
}

/** Runs one command line; errors are shown and become the exit status. */
export async function run(argv: readonly string[], surroundings: Surroundings): Promise<number> {
  const { io, interrupts } = surroundings;
  const found = findCommand(IDS, argv);
  try {
    return await dispatch(argv, found, surroundings);
  } catch (error) {
    if (!interrupts.received) {
      const context = found ? wordsOf(found.id) : '';
      const stack = wantsTrace(io.env.DEBUG) && !isCodedError(error);
      io.stderr.write(renderError(error, { context, json: wantsJson(argv), stack }));
    }
    return exitStatus(error);
  }
}

async function dispatch(
  argv: readonly string[],
  found: Found | undefined,
  surroundings: Surroundings,
): Promise<number> {
  const flags = argv.slice(0, endOfFlags(argv));
  if (flags[0] === '--version' || flags[0] === '-V') {
    surroundings.io.stdout.write(`${versionLine()}\n`);
    return STATUS.done;
  }
  const invocation = makeInvocation(surroundings);
  const help = flags.includes('--help') || flags.includes('-h');
  if (!found) return withoutCommand(argv, help, invocation);
  if (help) {
    await invocation.showHelp(found.id.split(':'));
    return STATUS.done;
  }
  return runCommand(found, invocation, surroundings.places);
}

async function connect(uri: string, options: ConnectOptions): Promise<Backend> {
  const { connectBackend } = await import('./core/backend/connect.js');
  return connectBackend(uri, options);
}

async function hangUp(fd: number): Promise<void> {
  const { hangUp } = await import('./core/native/hang-up.js');
  return hangUp(fd);
}

function versionLine(): string {
  return `vmmctl/${VERSION} ${process.platform}-${process.arch} node-${process.version}`;
}

async function runCommand(
  { id, argv }: Found,
  invocation: Invocation,
  places: Places,
): Promise<number> {
  const Class = await loadCommand(id);
  const { own, rest } = splitRest(Class, argv);
  const input = invocation.io.env.VMMCTL_NO_FAST ? undefined : fastParse(grammarOf(Class), own);
  if (input) return execute(Class, invocation, input, rest);
  await loadAllCommands();
  const oclif = await loadOclif();
  return oclif.runCommand(id, argv, oclifOptions(invocation, places));
}

async function withoutCommand(
  argv: readonly string[],
  help: boolean,
  invocation: Invocation,
): Promise<number> {
  const words = commandWords(argv);
  if (words.length === 0 && (argv.length === 0 || help)) await invocation.showHelp([]);
  else if (findTopic(VISIBLE_IDS, words)) await showTopic(words, help, argv, invocation);
  else throw unknownCommand(VISIBLE_IDS, words.length > 0 ? words : argv);
  return STATUS.done;
}

/** Not where a command was meant, and a script would take the help for its output. */
async function showTopic(
  words: readonly string[],
  help: boolean,
  argv: readonly string[],
  invocation: Invocation,
): Promise<void> {
  const stray = help ? undefined : wordBehind(argv);
  if (stray === undefined) return invocation.showHelp(words);
  const topic = words.join(' ');
  throw new UsageError(
    `'${stray}' stands where a command of '${topic}' is expected`,
    `see 'vmmctl ${topic} --help'`,
  );
}

function makeInvocation(surroundings: Surroundings): Invocation {
  const { io, interrupts, places, connect, endWithReader } = surroundings;
  const invocation: Invocation = {
    io,
    interrupts,
    connect,
    endWithReader,
    async showHelp(words) {
      await loadAllCommands();
      if (words.length > 0 && !findTopic(IDS, words) && !IDS.includes(words.join(':'))) {
        throw unknownCommand(VISIBLE_IDS, words);
      }
      const { showHelp } = await loadOclif();
      await showHelp(words, oclifOptions(invocation, places));
      if (words.length === 0) io.stdout.write(topicList());
    },
    async commands() {
      await loadAllCommands();
      return COMMANDS;
    },
  };
  return invocation;
}

function oclifOptions(invocation: Invocation, places: Places): OclifOptions {
  return { root: places.root, target: places.self, invocation };
}

async function loadCommand(id: string): Promise<CommandClass> {
  const load = loaders[id];
  if (!load) throw new StatusError(STATUS.failed, new Error(`no command '${id}'`));
  const { default: Class } = await load();
  return Object.assign(Class as CommandClass, { id });
}

async function loadAllCommands(): Promise<void> {
  const classes = await Promise.all(IDS.map(loadCommand));
  IDS.forEach((id, i) => {
    const Class = classes[i];
    if (Class) COMMANDS[id] = Class;
  });
}

/** In the bundle, which is CommonJS. */
function bundled(): Places {
  return { root: dirname(__dirname), self: __filename };
}

function wantsJson(argv: readonly string[]): boolean {
  return argv.slice(0, endOfFlags(argv)).includes('--json');
}
