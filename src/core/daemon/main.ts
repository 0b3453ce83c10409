/**
 * The process that keeps a simulated host alive. It is started by the first command that needs it, with the host's
 * name and options as arguments; it says `ready` or an error on descriptor 3, and ends by itself when nothing is
 * left in it for a while.
 */
import { closeSync, existsSync, renameSync, rmSync, writeSync } from 'node:fs';
import type { Server } from 'node:net';
import { VERSION } from '../../version.js';
import { SystemError } from '../abi/errno.js';
import { EXPORT_MAKERS } from '../export/makers.js';
import { OfferedExports } from '../export/offered.js';
import { SeededRng } from '../simulator/rng.js';
import { DEFAULT_VMM_CONFIG, VMM_PROFILES } from '../simulator/vmm/config.js';
import { closeInherited } from './inherited.js';
import { readJournal } from './journal.js';
import { Keeper } from './keeper.js';
import { Log } from './log.js';
import { completeOptions, readOptions, writeOptions } from './options.js';
import { type HostPaths, hostPaths, makeDirectories } from './paths.js';
import { listen, makeServer } from './server.js';
import { Shared } from './sessions.js';
import { errorToWire, parseObject } from './wire.js';

const READY_FD = 3;

class Daemon {
  readonly #paths: HostPaths;
  readonly #log: Log;
  readonly #server: Server;
  #shared: Shared | undefined;
  #idleMs = 0;
  #idleTimer: NodeJS.Timeout | undefined;
  #ending = false;

  constructor(paths: HostPaths) {
    this.#paths = paths;
    this.#log = new Log(paths.log);
    this.#server = makeServer(
      () => (this.#ending ? undefined : this.#started()),
      () => this.#watchIdle(),
    );
  }

  async start(given: Record<string, unknown>): Promise<void> {
    // The socket is the claim to the host's state, so it comes before the state is read.
    await listen(this.#server, this.#paths);
    const wanted = { ...readOptions(this.#paths.options), ...given };
    const options = completeOptions(wanted);
    const seed = options.seed ?? process.hrtime()[1];
    this.#idleMs = options.idleMs;
    const keeper = new Keeper(
      {
        rng: new SeededRng(seed),
        profile: options.profile,
        policy: options.policy,
        vmciProfile: options.vmci,
        vmm: {
          ...DEFAULT_VMM_CONFIG,
          ...VMM_PROFILES[options.vmmctl],
          maxVms: options.maxVms,
          maxCpu: options.cpus,
        },
      },
      this.#savedVms(),
      this.#paths.journal,
      (owner) => new OfferedExports(this.#paths.runtime, owner, EXPORT_MAKERS),
      this.#log,
    );
    writeOptions(this.#paths.options, wanted);
    this.#shared = new Shared(keeper, {
      version: VERSION,
      startedAt: new Date().toISOString(),
      options: { ...options, seed },
      stop: () => this.#endSoon('stopped'),
    });
    keeper.onChange(() => this.#watchIdle());
    this.#log.write(`started, process ${process.pid}, ${JSON.stringify({ ...options, seed })}`);
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => this.#endSoon(signal));
    }
    process.on('SIGHUP', () => undefined);
    process.on('uncaughtException', (error) => {
      this.#log.write(`ends by a defect: ${error.stack}`);
      process.exit(1);
    });
    this.#watchIdle();
    await keeper.offerAgain();
  }

  #started(): Shared {
    if (this.#shared === undefined) throw new SystemError('EAGAIN');
    return this.#shared;
  }

  #savedVms() {
    const { vms, damaged } = readJournal(this.#paths.journal);
    if (damaged > 0) {
      const kept = `${this.#paths.journal}.damaged`;
      if (existsSync(kept)) rmSync(kept);
      renameSync(this.#paths.journal, kept);
      this.#log.write(`${damaged} lines of the journal are damaged; the old one is ${kept}`);
    }
    return vms;
  }

  /** Starts or stops the time after which it ends by itself. */
  #watchIdle(): void {
    clearTimeout(this.#idleTimer);
    this.#idleTimer = undefined;
    const { clients, keeper } = this.#started();
    const empty = clients === 0 && keeper.world.size === 0 && !keeper.exports.offersHost;
    if (!empty || this.#idleMs === 0 || this.#ending) return;
    this.#idleTimer = setTimeout(() => this.#endSoon('nothing is left in it'), this.#idleMs);
  }

  /** Ends after the answers that are under way are out. */
  #endSoon(why: string): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#log.write(`ends: ${why}`);
    setImmediate(() => {
      this.#end().catch((error) => this.#log.write(`ending failed: ${String(error)}`));
    });
  }

  /**
   * The socket goes last, and with it the claim to the state: a successor must find all written down. Closing
   * the server removes it.
   */
  async #end(): Promise<void> {
    this.#shared?.closeSessions();
    await this.#shared?.keeper.close();
    this.#server.close();
    process.exit(0);
  }
}

function tellStarter(text: string): void {
  try {
    writeSync(READY_FD, `${text}\n`);
    closeSync(READY_FD);
  } catch {
    // Nobody waits: it was started by hand.
  }
}

async function main(): Promise<void> {
  const [host = 'default', options = '{}'] = process.argv.slice(2);
  process.umask(0o077);
  try {
    const paths = hostPaths(host);
    makeDirectories(paths);
    const daemon = new Daemon(paths);
    await daemon.start(parseObject(options));
    tellStarter('ready');
  } catch (error) {
    tellStarter(JSON.stringify(errorToWire(error)));
    process.exit(1);
  }
}

process.title = 'vmmctl-sim';
closeInherited();
main().catch((error) => {
  tellStarter(JSON.stringify(errorToWire(error)));
  process.exit(1);
});
