/**
 * The simulated vmm(4): the VMs of a host, and the nodes and sysctls through which they are had.
 * What a VM's guest does is not here. Follows FreeBSD's sys/dev/vmm/vmm_dev.c.
 */
import { SystemError } from '../../abi/errno.js';
import { vm_suspend_how } from '../../abi/vmm-machine.js';
import type { Clock } from '../clock.js';
import type { Access, Caller, OpenNode, PromptNode } from '../node.js';
import {
  canSee,
  checkCreate,
  checkDestroy,
  checkJail,
  checkVmOpen,
  isWithin,
  mayOpenVm,
} from './access.js';
import {
  clampMaxCpu,
  hasControlNode,
  type MemoryLimits,
  memoryLimits,
  type VmmConfig,
} from './config.js';
import { openControl } from './control.js';
import { allocMemseg, mapMemseg, removeMemsegNodes } from './memory.js';
import { checkNameLength, collapseSlashes, DevfsPaths, vmPath } from './names.js';
import { Programs } from './programs.js';
import { endRuns, requestIdle, wake } from './run.js';
import { sysctl } from './sysctl.js';
import {
  checkVcpu,
  newVm,
  type SavedVm,
  type Topology,
  type Vm,
  type VmEvent,
  type VmLifetime,
} from './vm.js';
import { openVmNode } from './vm-node.js';

export class Vmm {
  readonly config: VmmConfig;
  readonly paths = new DevfsPaths();
  readonly limits: MemoryLimits;
  /** hw.vmm.maxvmms: VMs of one real user id; 0 is no limit. */
  maxVms: number;
  readonly clock: Clock;
  readonly #byName = new Map<string, Vm>();
  readonly #byPath = new Map<string, Vm>();
  readonly #counts = new Map<number, number>();
  readonly #programs = new Programs();
  #events: VmEvent[] = [];
  readonly #changed = new Set<Vm>();

  constructor(options: { clock: Clock; config: VmmConfig }) {
    this.config = options.config;
    this.limits = memoryLimits(options.config.release);
    this.maxVms = options.config.maxVms;
    this.clock = options.clock;
  }

  /**
   * Opens /dev/vmmctl.
   * @throws SystemError EACCES by its mode; EPERM in a jail without allow.vmm, or without write
   * access.
   */
  openControl(caller: Caller, access: Access): PromptNode {
    return openControl(this, caller, access);
  }

  /**
   * Opens /dev/vmm/NAME, where NAME is what follows in the path.
   * @throws SystemError ENOENT when there is none for the caller's jail; ENOTDIR or EISDIR when the
   * path is longer or shorter than a node's; EACCES by its mode; EPERM in a jail without allow.vmm.
   */
  openVm(name: string, caller: Caller, _access: Access): OpenNode {
    const path = collapseSlashes(`vmm/${name}`);
    const vm = this.#byPath.get(path);
    // devfs hides a node by its creator's jail alone, whoever the users are.
    if (vm === undefined || !isWithin(vm.creator.jail, caller.jail)) {
      throw new SystemError(this.#whyNot(path, caller), { syscall: 'open', path: `/dev/${path}` });
    }
    checkVmOpen(caller, vm.creator, this.config);
    return openVmNode(this, vm, caller);
  }

  /** May the caller change a VM, other than by its node? @throws SystemError EACCES, EPERM, as `openVm`. */
  checkChange({ name, creator }: Vm, caller: Caller): void {
    if (!mayOpenVm(caller, creator, this.config)) {
      throw new SystemError('EACCES', { message: `the VM '${name}' is not yours to change` });
    }
    checkJail(caller, this.config);
  }

  /**
   * Names in /dev/vmm or a directory below it. They are parts of paths: a VM `a/b` is `b` in `a`,
   * and a directory is there as long as something is in it.
   * @param path Below /dev, without a slash at the end.
   * @throws SystemError ENOENT when there is none for the caller's jail; ENOTDIR for a VM's node.
   */
  readdir(path: string, caller: Caller): string[] {
    const names = new Set<string>();
    for (const vm of this.#byPath.values()) {
      if (!isWithin(vm.creator.jail, caller.jail)) continue;
      if (vm.path === path) throw new SystemError('ENOTDIR', { syscall: 'scandir', path });
      if (!vm.path.startsWith(`${path}/`)) continue;
      const [name = ''] = vm.path.slice(path.length + 1).split('/');
      names.add(name);
    }
    if (names.size === 0) throw new SystemError('ENOENT', { syscall: 'scandir', path });
    return [...names];
  }

  #whyNot(path: string, caller: Caller): 'ENOENT' | 'ENOTDIR' | 'EISDIR' {
    for (const vm of this.#byPath.values()) {
      if (!isWithin(vm.creator.jail, caller.jail)) continue;
      if (path.startsWith(`${vm.path}/`)) return 'ENOTDIR';
      if (vm.path.startsWith(`${path}/`)) return 'EISDIR';
    }
    return 'ENOENT';
  }

  /** Reads a sysctl below hw.vmm, or writes it. @throws SystemError as `sysctl` in sysctl.ts. */
  sysctl(name: string, value: string | undefined, caller: Caller): string {
    return sysctl(this, name, value, caller);
  }

  /** All VMs, oldest first. */
  all(): readonly Vm[] {
    return [...this.#byName.values()];
  }

  /** The VMs that a caller sees, oldest first. */
  visible(caller: Caller): readonly Vm[] {
    return this.all().filter((vm) => canSee(caller, vm.creator, this.config));
  }

  /** The VM of a name, if the caller sees it. */
  find(name: string, caller: Caller): Vm | undefined {
    const vm = this.#byName.get(name);
    return vm !== undefined && canSee(caller, vm.creator, this.config) ? vm : undefined;
  }

  /** How many VMs a real user id has, in all jails together. */
  countOf(uid: number): number {
    return this.#counts.get(uid) ?? 0;
  }

  /**
   * Creates a VM with one vCPU and no memory. The order of the checks is the kernel's.
   * @throws SystemError EEXIST for a name in use, also by a VM that the caller can't see; EPERM
   * without PRIV_VMM_CREATE or allow.vmm; ENOMEM over hw.vmm.maxvmms; EINVAL or ENAMETOOLONG for a
   * name that no node may have.
   */
  create(name: string, lifetime: VmLifetime, caller: Caller): Vm {
    if (this.find(name, caller) !== undefined) {
      throw new SystemError('EEXIST', { message: `a VM named ${name} exists already` });
    }
    checkCreate(caller, lifetime === 'persistent', this.config);
    if (this.maxVms !== 0 && this.countOf(caller.uid) >= this.maxVms) {
      throw new SystemError('ENOMEM', {
        message: `a user may have ${this.maxVms} VMs`,
        hint: 'raise hw.vmm.maxvmms',
      });
    }
    const topology = { sockets: 1, cores: 1, threads: 1, maxcpus: clampMaxCpu(this.config.maxCpu) };
    return this.#add(name, lifetime, caller, topology, this.clock.wallMs());
  }

  /**
   * Puts back a persistent VM that an earlier run of the host had. Its guest has rebooted; limits
   * and privileges were checked when it was created.
   * @throws SystemError EEXIST when its name is in use; what a name or segment that can't be gives.
   */
  restore(saved: SavedVm): Vm {
    const { capabilities } = saved.creator;
    const creator: Caller = {
      ...saved.creator,
      capabilities: capabilities === 'all' ? 'all' : new Set(capabilities),
    };
    const vm = this.#add(saved.name, 'persistent', creator, saved.topology, saved.createdAtMs);
    try {
      for (const { segid, len, name } of saved.memsegs) {
        allocMemseg(vm, { segid, len: BigInt(len), name }, this.paths, this.limits);
      }
      for (const { gpa, segoff, len, ...rest } of saved.memmaps ?? []) {
        const place = { gpa: BigInt(gpa), segoff: BigInt(segoff), len: BigInt(len) };
        mapMemseg(vm, { ...rest, ...place }, this.limits);
      }
    } catch (error) {
      this.destroy(vm);
      throw error;
    }
    return vm;
  }

  /**
   * Destroys the VM of a name.
   * @throws SystemError EINVAL when the caller sees no such VM; EPERM when it is someone else's and
   * the caller lacks PRIV_VMM_DESTROY.
   */
  destroyByName(name: string, caller: Caller): void {
    const vm = this.find(name, caller);
    if (vm === undefined) throw new SystemError('EINVAL', { message: `no VM is named ${name}` });
    checkDestroy(caller, vm.creator, this.config);
    this.destroy(vm);
  }

  /** Destroys a VM, without asking for permission. Nothing happens when it is destroyed already. */
  destroy(vm: Vm): void {
    if (this.#byName.get(vm.name) !== vm) return;
    this.#endCalls(vm);
    this.#byName.delete(vm.name);
    this.#byPath.delete(vm.path);
    this.paths.remove(vm.path);
    removeMemsegNodes(vm, this.paths);
    this.#programs.forget(vm);
    this.#count(vm.creator.uid, -1);
    this.#changed.delete(vm);
    this.#events.push({ type: 'destroyed', vm });
  }

  /**
   * Gives a vCPU what it executes, from the first line on; null takes it away again. A VM_RUN that sleeps goes on with it.
   * @throws SystemError EINVAL for the number of a vCPU that the VM can't have; as `Programs.set`.
   */
  setProgram(vm: Vm, vcpuid: number, text: string | null): void {
    checkVcpu(vm, vcpuid);
    this.#programs.set(vm, vcpuid, text);
    const vcpu = vm.vcpus.get(vcpuid);
    if (vcpu === undefined) return;
    vcpu.program = vm.programs.get(vcpuid);
    wake(this, vm, vcpu);
    vm.locks.retry();
  }

  /**
   * Ends all calls on a VM's node. A VM that is not suspended is, since FreeBSD 15; before that its calls find the node
   * gone.
   */
  #endCalls(vm: Vm): void {
    const gone = new SystemError('ENXIO', { syscall: 'ioctl', message: 'the VM is destroyed' });
    const suspends = hasControlNode(this.config.release);
    if (suspends && vm.suspendReason === vm_suspend_how.VM_SUSPEND_NONE) {
      vm.suspendReason = vm_suspend_how.VM_SUSPEND_DESTROY;
    }
    vm.state = 'destroying';
    vm.locks.abandon(gone);
    endRuns(this, vm, suspends ? undefined : gone);
  }

  /**
   * Notes that something of a VM that others see has changed. Once is enough until events are
   * taken.
   */
  changed(vm: Vm): void {
    if (this.#changed.has(vm)) return;
    this.#changed.add(vm);
    this.#events.push({ type: 'changed', vm });
  }

  /** What happened since the last call, in order. */
  takeEvents(): VmEvent[] {
    const events = this.#events;
    this.#events = [];
    this.#changed.clear();
    return events;
  }

  #add(
    name: string,
    lifetime: VmLifetime,
    creator: Caller,
    topology: Topology,
    createdAtMs: number,
  ): Vm {
    checkNameLength(name);
    const path = vmPath(name);
    this.paths.add(path);
    const identity = { name, path, creator, createdAtMs, lifetime, topology };
    const vm = newVm(identity, this.clock, (own, vcpu) => requestIdle(this, own, vcpu));
    this.#byName.set(name, vm);
    this.#byPath.set(path, vm);
    this.#count(creator.uid, 1);
    this.#events.push({ type: 'created', vm });
    return vm;
  }

  #count(uid: number, difference: number): void {
    const count = this.countOf(uid) + difference;
    if (count === 0) this.#counts.delete(uid);
    else this.#counts.set(uid, count);
  }
}
