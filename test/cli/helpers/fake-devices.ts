/** What the fake host's management tells and sets of VMs' devices: balloons that move at each look, heartbeats, faults. */
import { SystemError } from '../../../src/core/abi/errno.js';
import type {
  BalloonRecord,
  GuestProperty,
  GuestPropertyChange,
  HeartbeatRecord,
} from '../../../src/core/backend/port/guest.js';
import type {
  ExportKind,
  ExportRecord,
  Fault,
  VmRecord,
} from '../../../src/core/backend/port/vm.js';
import type { Management } from '../../../src/core/backend/port.js';

const MIB = 2 ** 20;

type DeviceManagement = Omit<
  Management,
  'vms' | 'vm' | 'inspect' | 'configure' | 'hostVersion' | 'suspension' | 'watch'
>;

export class FakeDevices {
  readonly balloons = new Map<string, BalloonRecord>();
  readonly heartbeats = new Map<string, HeartbeatRecord>();
  readonly faults = new Map<string, Fault[]>();
  /** Masks of events that were raised. */
  readonly raised: number[] = [];
  /** Devices that a guest has for itself, as `VM KIND`. */
  readonly held = new Set<string>();
  /** What is offered of a VM, or of the host. */
  readonly exports = new Map<string, Set<ExportKind>>();
  /** By VM and number of the vCPU. */
  readonly programs = new Map<string, string>();
  /** By VM. */
  readonly properties = new Map<string, GuestProperty[]>();
  /** What `nextGuestProperty` gives, one a call. */
  propertyChanges: GuestPropertyChange[] = [];
  /** How far a balloon gets between two looks, bytes. */
  step = 64 * MIB;
  /** No balloon becomes larger, bytes. */
  most = Number.POSITIVE_INFINITY;
  /** A new target is not taken, and nobody says so. */
  keepsTarget = false;
  /** Called at each look at balloons or heartbeats, with how many there were before. */
  onLook: (looks: number) => void = () => {};
  #looks = 0;

  constructor(readonly vms: ReadonlyMap<string, VmRecord>) {}

  management(call: (name: string) => void): DeviceManagement {
    return {
      balloons: async (name) => {
        call('balloons');
        this.onLook(this.#looks++);
        return this.#names(name).map((each) => this.#move(each));
      },
      setBalloon: async (name, size) => {
        call('setBalloon');
        const before = this.balloon(name);
        const target = Math.ceil(size / before.unit) * before.unit;
        const limit = 0.9 * (before.memory ?? 0);
        if (this.keepsTarget) return before;
        if (target >= limit) throw new SystemError('EINVAL', { message: 'not below 460M' });
        return this.#put(this.balloons, name, { ...before, target });
      },
      heartbeats: async (name) => {
        call('heartbeats');
        this.onLook(this.#looks++);
        return this.#names(name).map((each) => this.heartbeat(each));
      },
      setHeartbeat: async (name, change) => {
        call('setHeartbeat');
        const before = this.heartbeat(name);
        const { enabled = before.enabled } = change;
        const intervalMs = change.intervalMs ?? before.intervalMs;
        const timeoutMs = change.timeoutMs ?? before.timeoutMs;
        if (intervalMs < 50) throw new SystemError('EINVAL', { message: 'not below 50 ms' });
        const state = enabled ? before.state : ('off' as const);
        return this.#put(this.heartbeats, name, {
          ...before,
          enabled,
          intervalMs,
          timeoutMs,
          state,
        });
      },
      raiseEvents: async (name, events) => {
        call('raiseEvents');
        this.#require(name);
        this.raised.push(events);
      },
      guestProperties: async (vm) => {
        call('guestProperties');
        return this.#propertiesOf(vm);
      },
      guestProperty: async (vm, name) => {
        call('guestProperty');
        const found = this.#propertiesOf(vm).find((each) => each.name === name);
        if (!found) throw new SystemError('ENOENT', { message: `no property '${name}'` });
        return found;
      },
      setGuestProperty: async (vm, name, value, flags = '') => {
        call('setGuestProperty');
        const others = this.#propertiesOf(vm).filter((each) => each.name !== name);
        const made = { name, value: value ?? '', timestamp: '1', flags: flags.split(',') };
        this.properties.set(vm, value === null ? others : [...others, made]);
      },
      nextGuestProperty: async () => {
        call('nextGuestProperty');
        const next = this.propertyChanges.shift();
        if (!next) throw new SystemError('EINTR');
        return next;
      },
      exportVm: async (name, { kind, forClient }) => {
        call('exportVm');
        this.#require(name);
        if (forClient) {
          this.held.add(`${name} ${kind}`);
          return { kind, paths: [`/run/${name}.${kind}`] };
        }
        return this.#offer(name, kind);
      },
      devicePath: async (name, kind) => {
        this.#require(name);
        return `/run/${name}.${kind}`;
      },
      unexportVm: async (name, { kind, forClient }) => {
        call('unexportVm');
        this.#require(name);
        if (forClient) this.held.delete(`${name} ${kind}`);
        else this.exports.get(name)?.delete(kind);
      },
      exportHost: async ({ kind }) => {
        call('exportHost');
        return this.#offer('host', kind);
      },
      unexportHost: async (kind) => {
        call('unexportHost');
        this.exports.get('host')?.delete(kind);
      },
      setFault: async (name, fault) => {
        call('setFault');
        this.#require(name);
        this.faults.set(name, [...(this.faults.get(name) ?? []), fault]);
      },
      setVcpuProgram: async (name, vcpu, program) => {
        call('setVcpuProgram');
        this.#require(name);
        this.programs.set(`${name} ${vcpu}`, program ?? '');
      },
      clearFault: async (name, kind) => {
        call('clearFault');
        this.#require(name);
        const left = (this.faults.get(name) ?? []).filter((each) => kind && each.kind !== kind);
        this.faults.set(name, left);
      },
    };
  }

  balloon(name: string): BalloonRecord {
    const vm = this.#require(name);
    return (
      this.balloons.get(name) ?? {
        vm: name,
        memory: vm.memory,
        target: 0,
        actual: 0,
        unit: MIB,
        guestStats: null,
      }
    );
  }

  heartbeat(name: string): HeartbeatRecord {
    this.#require(name);
    return (
      this.heartbeats.get(name) ?? {
        vm: name,
        enabled: true,
        intervalMs: 2000,
        timeoutMs: 4000,
        lastBeat: '2026-01-02T03:04:04.000Z',
        beats: 7,
        misses: 0,
        state: 'beating',
      }
    );
  }

  #move(name: string): BalloonRecord {
    const before = this.balloon(name);
    const { target, actual } = before;
    const wanted = Math.min(target ?? 0, Math.max(actual ?? 0, this.most));
    const way = wanted - (actual ?? 0);
    const moved = (actual ?? 0) + Math.sign(way) * Math.min(Math.abs(way), this.step);
    return this.#put(this.balloons, name, { ...before, actual: Math.min(moved, this.most) });
  }

  #offer(owner: string, kind: ExportKind): ExportRecord {
    this.exports.set(owner, (this.exports.get(owner) ?? new Set()).add(kind));
    return { kind, paths: [`/run/${owner}.${kind}`] };
  }

  #put<R>(records: Map<string, R>, name: string, record: R): R {
    records.set(name, record);
    return record;
  }

  #names(name: string | undefined): string[] {
    if (name === undefined) return [...this.vms.keys()];
    this.#require(name);
    return [name];
  }

  #propertiesOf(vm: string): GuestProperty[] {
    this.#require(vm);
    return this.properties.get(vm) ?? [];
  }

  #require(name: string): VmRecord {
    const vm = this.vms.get(name);
    if (!vm) throw new SystemError('ENOENT', { message: `no VM '${name}'` });
    return vm;
  }
}
