/** What is offered of each VM to programs that know nothing of vmmctl: its hybrid socket always, the rest on demand. */
import { lstatSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { SystemError } from '../abi/errno.js';
import type { Keeper } from '../daemon/keeper.js';
import type { Domain } from '../simulator/domain.js';
import type { Socket } from '../simulator/vsock/socket.js';
import type { Export, ExportKind, ExportMaker, HostExportMaker } from './exports.js';
import { HybridExports } from './hybrid.js';
import { requireDrivable } from './vhost-user/kernel-guest.js';
import { type DeviceKind, socketPath } from './vhost-user/socket-path.js';

/** Names of the sockets of virtio devices. */
const DEVICE_SOCKET = /\.vhost-(vsock|balloon)$/;

/** How each kind is made. */
export interface ExportMakers {
  readonly vm: Readonly<Record<ExportKind, ExportMaker>>;
  readonly host: Readonly<Partial<Record<ExportKind, HostExportMaker>>>;
}

/** Whose nodes and devices are offered. */
export type ExportOwner = Domain | 'host';

/** Who has a device of a VM for a guest of its own: what stands for a client. */
export type Holder = object;

export class OfferedExports {
  /** Where sockets are. */
  readonly directory: string;
  readonly #keeper: Keeper;
  readonly #makers: ExportMakers;
  readonly #hybrid: HybridExports;
  readonly #offered = new Map<ExportOwner, Map<ExportKind, Export>>();
  /** What was offered for as long as the owner is there, and comes back with it. Others are a client's. */
  readonly #lasting = new Map<ExportOwner, Set<ExportKind>>();
  /** Who has a device for its guest alone. */
  readonly #held = new Map<ExportOwner, Map<ExportKind, Holder>>();
  /** Those that are being made. */
  readonly #making = new Map<ExportOwner, Map<ExportKind, Promise<Export>>>();

  constructor(directory: string, keeper: Keeper, makers: ExportMakers) {
    this.directory = directory;
    this.#keeper = keeper;
    this.#makers = makers;
    this.#hybrid = new HybridExports(directory, keeper);
  }

  /** Removes what a daemon that was killed left behind. */
  removeStale(): void {
    this.#hybrid.removeStale();
    for (const name of readdirSync(this.directory)) {
      const path = join(this.directory, name);
      if (DEVICE_SOCKET.test(name) && lstatSync(path).isSocket()) rmSync(path, { force: true });
    }
  }

  /** The VM is there, or has changed. */
  offerHybrid(domain: Domain): void {
    this.#hybrid.offer(domain);
  }

  /** See HybridExports. */
  claim(domain: Domain, socket: Socket): void {
    this.#hybrid.claim(domain, socket);
  }

  /**
   * Begins to offer something; what is offered already stays as it is, but lasts when that is asked for now.
   * @throws SystemError as its maker does; ENOENT when the VM is destroyed meanwhile, EOPNOTSUPP for what a host hasn't.
   */
  async offer(owner: ExportOwner, kind: ExportKind, { lasting = true } = {}): Promise<Export> {
    const offered = await this.#offer(owner, kind);
    if (lasting) this.want(owner, kind);
    return offered;
  }

  /** Notes that this is to be offered for as long as the owner is there. */
  want(owner: ExportOwner, kind: ExportKind): void {
    const kinds = this.#lasting.get(owner) ?? new Set();
    this.#lasting.set(owner, kinds.add(kind));
  }

  /** What is to come back with a VM. */
  lasting(owner: ExportOwner): ExportKind[] {
    return [...(this.#lasting.get(owner) ?? [])];
  }

  /** Ends one, if there is such a one. */
  end(owner: ExportOwner, kind: ExportKind): void {
    this.#lasting.get(owner)?.delete(kind);
    take(this.#held, owner, kind);
    take(this.#offered, owner, kind)?.close();
  }

  /**
   * Offers something for the guest of one holder alone, until that lets go of it.
   * @throws SystemError EBUSY while somebody else has it or uses it; as `offer`.
   */
  async hold(domain: Domain, kind: ExportKind, holder: Holder): Promise<Export> {
    const before = this.#held.get(domain)?.get(kind);
    const isTaken = before === undefined && this.#offered.get(domain)?.get(kind)?.isTaken?.();
    if (isTaken || (before !== undefined && before !== holder)) {
      throw new SystemError('EBUSY', {
        message: `'${domain.vm.name}' has a guest already, or is about to have one`,
        hint: 'end that one first',
      });
    }
    // At once, so that of two who come at the same time one is the first.
    put(this.#held, domain, kind, holder);
    try {
      return await this.offer(domain, kind, { lasting: false });
    } catch (error) {
      this.letGo(domain, kind, holder);
      throw error;
    }
  }

  /** Ends what a holder has, unless somebody has asked for it to last. */
  letGo(domain: Domain, kind: ExportKind, holder: Holder): void {
    if (this.#held.get(domain)?.get(kind) !== holder) return;
    take(this.#held, domain, kind);
    if (!this.#lasting.get(domain)?.has(kind)) this.end(domain, kind);
  }

  /** Where a device of a VM is offered, or would be. @throws SystemError as `requireDrivable` and `socketPath`. */
  devicePath(domain: Domain, kind: DeviceKind): string {
    requireDrivable(domain, kind, this.#keeper.world.network.profile);
    const offered = this.#offered.get(domain)?.get(kind);
    return offered?.paths[0] ?? socketPath(this.directory, domain, kind);
  }

  /** The VM is gone, and all that is offered of it. */
  withdraw(domain: Domain): void {
    this.#hybrid.withdraw(domain);
    this.#withdraw(domain);
  }

  /** The path of a VM's hybrid socket. */
  hybridPath(domain: Domain): string | undefined {
    return this.#hybrid.paths(domain)[0]?.path;
  }

  /** Whether something of the host is offered, which keeps it alive. */
  get offersHost(): boolean {
    return (this.#offered.get('host')?.size ?? 0) > 0;
  }

  /** All of a VM, path by path. */
  list(domain: Domain): { kind: string; path: string }[] {
    const offered = [...(this.#offered.get(domain)?.values() ?? [])];
    const paths = offered.flatMap(({ kind, paths }) => paths.map((path) => ({ kind, path })));
    return [...this.#hybrid.paths(domain), ...paths];
  }

  /** Counts of what is offered of a VM. */
  counters(domain: Domain): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const each of this.#offered.get(domain)?.values() ?? []) {
      Object.assign(counts, each.counters?.());
    }
    return counts;
  }

  close(): void {
    for (const owner of [...this.#offered.keys()]) this.#withdraw(owner);
    this.#hybrid.close();
  }

  async #offer(owner: ExportOwner, kind: ExportKind): Promise<Export> {
    const there = this.#offered.get(owner)?.get(kind) ?? this.#making.get(owner)?.get(kind);
    if (there !== undefined) return await there;
    const making = this.#make(owner, kind);
    put(this.#making, owner, kind, making);
    try {
      return await making;
    } finally {
      take(this.#making, owner, kind);
    }
  }

  #withdraw(owner: ExportOwner): void {
    const all = this.#offered.get(owner);
    this.#offered.delete(owner);
    this.#lasting.delete(owner);
    this.#held.delete(owner);
    for (const each of all?.values() ?? []) each.close();
  }

  async #make(owner: ExportOwner, kind: ExportKind): Promise<Export> {
    const made = await this.#begin(owner, kind);
    if (owner !== 'host' && this.#keeper.world.peek(owner.vm.name) !== owner) {
      made.close();
      throw new SystemError('ENOENT', { message: `the VM '${owner.vm.name}' was destroyed` });
    }
    put(this.#offered, owner, kind, made);
    return made;
  }

  #begin(owner: ExportOwner, kind: ExportKind): Promise<Export> {
    if (owner !== 'host') return this.#makers.vm[kind](this.#keeper, owner);
    const maker = this.#makers.host[kind];
    if (maker !== undefined) return maker(this.#keeper);
    throw new SystemError('EOPNOTSUPP', { message: `a host can't be offered by ${kind}` });
  }
}

type ByKind<V> = Map<ExportOwner, Map<ExportKind, V>>;

function put<V>(map: ByKind<V>, owner: ExportOwner, kind: ExportKind, value: V): void {
  map.set(owner, (map.get(owner) ?? new Map<ExportKind, V>()).set(kind, value));
}

function take<V>(map: ByKind<V>, owner: ExportOwner, kind: ExportKind): V | undefined {
  const values = map.get(owner);
  const value = values?.get(kind);
  values?.delete(kind);
  if (values?.size === 0) map.delete(owner);
  return value;
}
