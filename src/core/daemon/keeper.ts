/** Keeps a world alive: gives it time, keeps its persistent VMs on disk, and offers each VM's Unix sockets. */
import { EXPORT_KINDS } from '../export/exports.js';
import type { OfferedExports } from '../export/offered.js';
import type { Domain } from '../simulator/domain.js';
import { type Caller, ROOT } from '../simulator/node.js';
import type { Socket } from '../simulator/vsock/socket.js';
import { World, type WorldOptions } from '../simulator/world.js';
import { Journal, type KeptVm } from './journal.js';
import type { Log } from './log.js';
import { Pump, RealClock } from './pump.js';

/** Lines in the journal after which it is written anew. */
const COMPACT_LINES = 20_000;

export class Keeper {
  readonly world: World;
  readonly pump: Pump;
  readonly log: Log;
  readonly exports: OfferedExports;
  readonly #journalPath: string;
  /** VMs whose creating handle is still open: not yet on disk. */
  readonly #provisional = new Set<string>();
  readonly #onChange = new Set<() => void>();
  #journal: Journal;
  #lines = 0;
  /** Persistent VMs that could not be brought back; they stay in the journal until somebody mends it. */
  readonly #unrestored: KeptVm[] = [];
  /** Why the last change could not be written down. */
  #failure: unknown;

  /** @param saved the persistent VMs of the last run. */
  constructor(
    options: Omit<WorldOptions, 'clock' | 'defers' | 'log'>,
    saved: readonly KeptVm[],
    journalPath: string,
    makeExports: (keeper: Keeper) => OfferedExports,
    log: Log,
  ) {
    const clock = new RealClock();
    this.log = log;
    this.#journalPath = journalPath;
    this.world = new World({ ...options, clock, defers: true, log: (text) => log.write(text) });
    this.pump = new Pump(this.world, clock, {
      deferred: (socket) => this.#deferred(socket),
      timePassed: () => this.#takeEvents(),
      failed: (error) => log.write(`a defect: ${error instanceof Error ? error.stack : error}`),
    });
    this.exports = makeExports(this);
    this.exports.removeStale();
    this.#restore(saved);
    this.#journal = new Journal(journalPath, this.#saved());
  }

  /** Calls back after each change of a VM, until the returned function is called. */
  onChange(listener: () => void): () => void {
    this.#onChange.add(listener);
    return () => this.#onChange.delete(listener);
  }

  /** The creating handle of these VMs was closed: they are complete, and kept from now on. */
  settled(names: Iterable<string>): void {
    for (const name of names) {
      if (!this.#provisional.delete(name)) continue;
      const domain = this.world.peek(name);
      if (domain !== undefined) this.#keep(domain);
    }
  }

  /**
   * Takes over what a call changed, and lets packets flow. Call after each call on the world.
   * @param making collects the names of VMs that the call has begun to make; they are kept from `settled` on.
   */
  digest(making?: Set<string>): void {
    this.#takeEvents(making);
    this.pump.kick();
  }

  #takeEvents(making?: Set<string>): void {
    const events = this.world.takeEvents();
    for (const { type, domain } of events) {
      if (type === 'created' && making !== undefined) {
        making.add(domain.vm.name);
        this.#provisional.add(domain.vm.name);
      }
      if (type === 'destroyed') this.#gone(domain);
      else this.#changed(domain);
    }
    if (events.length > 0) for (const listener of [...this.#onChange]) listener();
  }

  /** What is offered of a VM has changed. */
  noteExports(domain: Domain): void {
    const isThere = this.world.peek(domain.vm.name) === domain;
    if (isThere && !this.#provisional.has(domain.vm.name)) this.#keep(domain);
  }

  /** Offers again what was offered of the VMs when the host ended. What can't be is told in the log, and tried next time. */
  async offerAgain(): Promise<void> {
    for (const domain of this.world.domains(ROOT)) {
      for (const kind of this.exports.lasting(domain)) {
        await this.exports.offer(domain, kind).catch((error) => {
          const name = JSON.stringify(domain.vm.name);
          this.log.write(`cannot offer ${name} by ${kind} again: ${String(error)}`);
        });
      }
    }
  }

  /** Resolves when all changes so far are on disk. @throws why they are not. */
  async durable(): Promise<void> {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
    await this.#journal.flush();
  }

  async close(): Promise<void> {
    this.exports.close();
    this.pump.stop();
    await this.#journal.flush();
    this.#journal.close();
  }

  #restore(saved: readonly KeptVm[]): void {
    for (const vm of saved) {
      try {
        this.world.restore(vm);
        this.#wantExports(vm);
      } catch (error) {
        this.#unrestored.push(vm);
        this.log.write(`cannot restore ${JSON.stringify(vm.name)}: ${String(error)}`);
      }
    }
    for (const { domain } of this.world.takeEvents()) this.exports.offerHybrid(domain);
  }

  #wantExports({ name, exports = [] }: KeptVm): void {
    const domain = this.world.peek(name);
    if (domain === undefined) return;
    for (const kind of EXPORT_KINDS) if (exports.includes(kind)) this.exports.want(domain, kind);
  }

  #changed(domain: Domain): void {
    this.exports.offerHybrid(domain);
    if (!this.#provisional.has(domain.vm.name)) this.#keep(domain);
  }

  #gone(domain: Domain): void {
    const { name } = domain.vm;
    this.exports.withdraw(domain);
    this.log.write(`destroyed ${JSON.stringify(name)}`);
    if (this.#provisional.delete(name) || domain.vm.lifetime !== 'persistent') return;
    this.#note((journal) => journal.del(name));
  }

  #keep(domain: Domain): void {
    if (domain.vm.lifetime !== 'persistent') return;
    const replaced = this.#unrestored.findIndex(({ name }) => name === domain.vm.name);
    if (replaced >= 0) this.#unrestored.splice(replaced, 1);
    this.#note((journal) => journal.put(this.#record(domain)));
  }

  /** Writes into the journal. A failure is told to whoever waits for `durable`, and does not end the host. */
  #note(write: (journal: Journal) => void): void {
    try {
      write(this.#journal);
      this.#count();
    } catch (error) {
      this.#failure = error;
      this.log.write(`cannot write the journal: ${String(error)}`);
    }
  }

  #count(): void {
    this.#lines++;
    if (this.#lines < COMPACT_LINES) return;
    this.#lines = 0;
    const old = this.#journal;
    this.#journal = new Journal(this.#journalPath, this.#saved());
    // Calls may still wait for what they wrote there.
    old
      .flush()
      .catch((error) => this.log.write(`cannot write the journal: ${String(error)}`))
      .finally(() => old.close());
  }

  #saved(): KeptVm[] {
    const kept = this.world
      .domains(ROOT)
      .filter(({ vm }) => vm.lifetime === 'persistent' && !this.#provisional.has(vm.name));
    return [...kept.map((domain) => this.#record(domain)), ...this.#unrestored];
  }

  #record(domain: Domain): KeptVm {
    const exports = this.exports.lasting(domain);
    return { ...this.world.save(domain), ...(exports.length > 0 ? { exports } : {}) };
  }

  #deferred(socket: Socket): void {
    const cid = socket.peer?.cid;
    const domain = cid === undefined ? undefined : this.world.domainByCid(cid);
    if (domain === undefined) this.world.network.host.refuse(socket);
    else this.exports.claim(domain, socket);
  }
}

/** The caller that a client asked to be, with what it left out filled in. */
export function callerFrom(wish: { uid?: unknown; gid?: unknown; jail?: unknown }): Caller {
  const id = (value: unknown) =>
    typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 32
      ? value
      : undefined;
  const uid = id(wish.uid) ?? 0;
  const gid = id(wish.gid) ?? uid;
  const jail = typeof wish.jail === 'string' ? wish.jail : '';
  return { uid, gid, groups: [gid], capabilities: uid === 0 ? 'all' : new Set(), jail };
}
