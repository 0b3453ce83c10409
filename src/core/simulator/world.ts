/**
 * The simulated host as a whole: its VMs, their guests, the vsock network between them, and the device trees
 * that the host and each guest see. Pure: whoever owns it passes time and chance in, and takes the effects out.
 */
import { SystemError } from '../abi/errno.js';
import { isGuestCid } from '../abi/vm-sockets.js';
import type { Clock } from './clock.js';
import { Deadlines } from './deadlines.js';
import {
  type Domain,
  type DomainChange,
  type DomainEvent,
  listedName,
  type SavedVm,
  saveDomain,
} from './domain.js';
import { applyFault, checkFault } from './guest-faults.js';
import { GuestPower } from './guest-power.js';
import { GuestMachine, HostMachine, type Machine } from './machine.js';
import { type Caller, ROOT } from './node.js';
import { RealGuest } from './real-guest.js';
import type { Rng } from './rng.js';
import { FaultSet } from './vbox/faults.js';
import { VboxVm } from './vbox/vbox-vm.js';
import type { VmciProfileName } from './vmci/profile.js';
import { Vmci } from './vmci/vmci.js';
import type { VmmConfig } from './vmm/config.js';
import { Vmm } from './vmm/registry.js';
import { cpuCount, memoryBytes, type Vm, type VmEvent } from './vmm/vm.js';
import { NO_DEVICE, type RealDevice, VsockNetwork, type VsockTransport } from './vsock/network.js';
import type { ProfileName, VsockPolicy } from './vsock/profile.js';

export interface WorldOptions {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly profile: ProfileName;
  readonly policy: VsockPolicy;
  readonly vmm: VmmConfig;
  /** Default `linux`. */
  readonly vmciProfile?: VmciProfileName;
  /** Whether connections to host ports without a listener are kept for somebody to claim. */
  readonly defers: boolean;
  /** A line in the host's log. Text from guests may be in it as it is. */
  log(text: string): void;
}

/** How often packets and other things may bring about each other in one go. */
const MAX_ROUNDS = 64;

export class World {
  readonly deadlines = new Deadlines();
  readonly network: VsockNetwork;
  readonly vmm: Vmm;
  readonly vmci: Vmci;
  readonly host: HostMachine;
  readonly clock: Clock;
  readonly #options: WorldOptions;
  readonly #domains = new Map<Vm, Domain>();
  #events: DomainEvent[] = [];

  constructor(options: WorldOptions) {
    this.#options = options;
    this.clock = options.clock;
    this.vmci = new Vmci(options.vmciProfile);
    const { deadlines } = this;
    this.network = new VsockNetwork({ ...options, deadlines, vmci: this.vmci.host });
    this.vmm = new Vmm({ clock: options.clock, config: options.vmm });
    this.host = new HostMachine(this.vmm, this.network.host, this.vmci);
  }

  /** VMs that exist. */
  get size(): number {
    return this.#domains.size;
  }

  /** vsock sockets of all machines. */
  socketCount(): number {
    let count = this.network.host.sockets().size;
    for (const { guest } of this.#domains.values()) count += guest.stack.sockets().size;
    return count;
  }

  /** Whether packets, datagrams or other things are left to be handed on. */
  get busy(): boolean {
    return this.network.busy || this.vmci.busy;
  }

  /**
   * Hands on up to `budget` packets, and as many other things, and what comes of them. True when so much was done that
   * others should have their turn.
   */
  run(budget: number): boolean {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const more = this.vmci.run(budget);
      if (this.network.run(budget) || more) return true;
      if (!this.vmci.busy) return false;
    }
    return true;
  }

  /** Takes over what the device models did. Call after each call on a node. */
  settle(): void {
    doAll(this.vmm.takeEvents().map((event) => () => this.#take(event)));
  }

  #take({ type, vm }: VmEvent): void {
    if (type === 'created') this.#created(vm);
    else if (type === 'destroyed') this.#destroyed(vm);
    else this.#changed(vm);
  }

  /** What happened to VMs since the last call. */
  takeEvents(): DomainEvent[] {
    this.settle();
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /** VMs that a caller may see, by name. Each has a CID from now on. */
  domains(caller: Caller): Domain[] {
    this.settle();
    const domains: Domain[] = [];
    for (const vm of this.vmm.visible(caller)) {
      const domain = this.#domains.get(vm);
      if (domain !== undefined) domains.push(this.#withCid(domain));
    }
    return domains.sort((a, b) => (a.vm.name < b.vm.name ? -1 : 1));
  }

  /** The VM of a name, without any effect. */
  peek(name: string): Domain | undefined {
    const vm = this.vmm.find(name, ROOT);
    return vm && this.#domains.get(vm);
  }

  /** @throws SystemError ENOENT when there is no such VM, or the caller may not see it. */
  domain(name: string, caller: Caller): Domain {
    return this.#withCid(this.#known(name, caller));
  }

  /**
   * A VM that the caller may change: whoever may open its node.
   * @throws SystemError ENOENT as `domain`; EACCES, and EPERM in a jail without allow.vmm.
   */
  ownDomain(name: string, caller: Caller): Domain {
    this.#own(this.#known(name, caller), caller);
    return this.domain(name, caller);
  }

  /** The VM whose guest has a CID. */
  domainByCid(cid: number): Domain | undefined {
    for (const domain of this.#domains.values()) if (domain.guest.cid === cid) return domain;
    return undefined;
  }

  /**
   * The device tree and sockets of the host, or of a simulated guest.
   * @throws SystemError ENOENT, EOPNOTSUPP for a VM in which a real kernel runs, ENODEV for one that is switched off.
   */
  machine(of: 'host' | { vm: string }, caller: Caller): Machine {
    if (of === 'host') return this.host;
    const domain = this.domain(of.vm, caller);
    domain.real.refuse();
    domain.power.refuse();
    return domain.machine;
  }

  /**
   * @throws SystemError ENOENT, EACCES and EPERM (see `ownDomain`), EINVAL (reserved CID), EADDRINUSE, EOPNOTSUPP
   *   (another transport while a real kernel is there). Nothing is changed when it throws.
   */
  configure(name: string, change: DomainChange, caller: Caller): Domain {
    const domain = this.#own(this.#known(name, caller), caller);
    const { vsockTransport = domain.guest.transport } = change;
    if (vsockTransport !== domain.guest.transport) domain.real.refuse();
    if (typeof change.cid === 'number') this.#setCid(domain, change.cid);
    else if (change.cid === 'auto') this.#withCid(domain);
    this.#setTransport(domain, vsockTransport);
    if (change.labels !== undefined) domain.labels = { ...change.labels };
    this.#events.push({ type: 'changed', domain });
    return domain;
  }

  /**
   * Puts back a VM that was saved. One without a CID still has none: the next one may have been saved with it.
   * @throws SystemError when its name or CID is taken. Nothing is changed when it throws.
   */
  restore(saved: SavedVm): void {
    const vm = this.vmm.restore(saved);
    this.settle();
    try {
      const { labels, vsockTransport } = saved;
      const change = { cid: saved.cid ?? undefined, labels, vsockTransport };
      const domain = this.configure(saved.name, change, ROOT);
      if (saved.vbox !== undefined) domain.vbox.restore(saved.vbox);
    } catch (error) {
      this.vmm.destroy(vm);
      this.settle();
      this.#events = this.#events.filter(({ domain }) => domain.vm !== vm);
      throw error;
    }
  }

  /** What `restore` needs. */
  save(domain: Domain): SavedVm {
    return saveDomain(domain);
  }

  /** By its name, or by the one under which it is listed for the caller. */
  #known(name: string, caller: Caller): Domain {
    this.settle();
    const listed = (each: Vm) => listedName(each, caller) === name;
    const vm = this.vmm.find(name, caller) ?? this.vmm.visible(caller).find(listed);
    const domain = vm && this.#domains.get(vm);
    if (domain !== undefined) return domain;
    throw new SystemError('ENOENT', { path: name, message: `no VM '${name}'` });
  }

  #own(domain: Domain, caller: Caller): Domain {
    this.vmm.checkChange(domain.vm, caller);
    return domain;
  }

  /** A program on /dev/vmci may have a context of the number that a VM is to get. */
  #setCid(domain: Domain, cid: number): void {
    if (isGuestCid(cid) && this.vmci.host.has(cid) && domain.vmci.cid !== cid) {
      throw new SystemError('EADDRINUSE', { message: `CID ${cid} is in use` });
    }
    this.network.setCid(domain.guest, cid);
    this.#plugVmci(domain);
    domain.faults.renew();
  }

  /** A real kernel has no device of VMCI. */
  #plugVmci({ vmci, real, guest }: Domain): void {
    vmci.setCid(real.isThere ? undefined : guest.cid);
  }

  #setTransport({ guest, vmci, faults }: Domain, transport: VsockTransport): void {
    if (guest.transport === transport) return;
    this.network.useVmci(guest, transport === 'vmci' ? vmci.driver : undefined);
    faults.renew();
  }

  #withCid(domain: Domain): Domain {
    if (domain.guest.cid === undefined) {
      let cid = this.network.freeCid();
      while (this.vmci.host.has(cid) || this.network.guest(cid) !== undefined) cid++;
      this.#setCid(domain, cid);
      this.#events.push({ type: 'changed', domain });
    }
    return domain;
  }

  #created(vm: Vm): void {
    const guest = this.network.addGuest();
    const { clock, deadlines } = this;
    const vbox = new VboxVm({
      clock,
      deadlines,
      rng: this.#options.rng,
      name: vm.name,
      memoryBytes: () => memoryBytes(vm),
      cpus: () => cpuCount(vm),
      log: (text) => this.#options.log(`${vm.name}: ${text}`),
      changed: () => this.vmm.changed(vm),
    });
    const vmci = this.vmci.addGuest();
    const machine = new GuestMachine(guest.stack, vbox, vmci);
    const faults = new FaultSet({
      clock,
      deadlines,
      apply: (kind, value) => this.#applyFault(domain, kind, value),
      check: (kind) => checkFault(domain, kind),
    });
    const real = new RealGuest({
      name: vm.name,
      changed: () => {
        power.review();
        this.#plugVmci(domain);
        this.#events.push({ type: 'changed', domain });
        vm.hasRealGuest = real.isThere;
      },
      plug: (device) => this.#replug(domain, device),
    });
    const power = new GuestPower({
      vm,
      isReplaced: () => real.isThere,
      cutOff: () => {
        guest.stack.shutDown();
        vbox.powerOff();
        vmci.restart();
        this.network.renewVmci(guest, vmci.driver);
      },
      runEnded: () => vbox.properties.runEnded(),
      leave: () => this.#replug(domain, NO_DEVICE),
      boot: () => {
        this.#replug(domain, undefined);
        vbox.powerOn();
      },
    });
    const domain: Domain = { vm, guest, machine, vbox, vmci, faults, real, power, labels: {} };
    this.#domains.set(vm, domain);
    this.#events.push({ type: 'created', domain });
    vbox.memoryChanged();
  }

  /** Connections to the guest, and its sockets, end. */
  #replug({ guest, faults }: Domain, device: RealDevice | undefined): void {
    this.network.setDevice(guest, device);
    faults.renew();
  }

  #applyFault(domain: Domain, kind: string, value: number | undefined): void {
    const { rng } = this.#options;
    const chance = (probability: number) => rng.below(2 ** 32) < probability * 2 ** 32;
    applyFault({ domain, network: this.network, chance }, kind, value);
  }

  #changed(vm: Vm): void {
    const domain = this.#domains.get(vm);
    if (domain === undefined) return;
    if (vm.state !== 'destroying') domain.power.review();
    domain.vbox.memoryChanged();
    this.#events.push({ type: 'changed', domain });
  }

  #destroyed(vm: Vm): void {
    const domain = this.#domains.get(vm);
    if (domain === undefined) return;
    this.#domains.delete(vm);
    this.#events.push({ type: 'destroyed', domain });
    doAll([
      // Before the faults: to end one could wake the agent.
      () => domain.vbox.close(),
      () => domain.faults.clear(),
      () => domain.real.close(),
      () => domain.vmci.setCid(undefined),
      () => this.network.removeGuest(domain.guest),
    ]);
  }
}

/** Takes all steps, also when one of them fails. @throws what the first of these threw. */
function doAll(steps: readonly (() => void)[]): void {
  const errors: unknown[] = [];
  for (const step of steps) {
    try {
      step();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}
