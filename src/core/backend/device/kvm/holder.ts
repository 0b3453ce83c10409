/** A VM of KVM with all that is told of it, in the process that holds it. */
import { SystemError } from '../../../abi/errno.js';
import { KVM_EXIT, kvmExitName } from '../../../abi/kvm-run.js';
import type { KvmExit, KvmImage, KvmRequest } from '../../port/kvm.js';
import type { MemoryMapping, VmDetails, VmRecord, VmState } from '../../port/vm.js';
import { KVM_NODE } from './system.js';
import { type Runnable, Turn } from './turn.js';

/** What is held: a KvmVm. */
export interface Machine {
  readonly vcpus: readonly Runnable[];
  /** In the order of addresses. */
  readonly memoryMap: readonly MemoryMapping[];
  /** @throws SystemError EINVAL for an image that does not fit. */
  load(image: KvmImage): void;
  /** Gives all back. No vCPU may run. */
  close(): void;
}

/** Why a VM is suspended after an exit by which its guest stopped; after all others somebody else has stopped it. */
const REASONS: Readonly<Record<number, string>> = {
  [KVM_EXIT.KVM_EXIT_HLT]: 'halt',
  [KVM_EXIT.KVM_EXIT_SHUTDOWN]: 'triplefault',
};
const PAUSED = 'paused';

export class HeldVm {
  readonly #request: KvmRequest;
  readonly #vm: Machine;
  readonly #createdAt: string;
  readonly #turns = new Map<Runnable, Turn>();
  /** How often vCPUs had each exit, by the header's name. */
  readonly #exits = new Map<string, number>();
  #hasRun = false;
  #lastReason: number | undefined;
  #closed = false;

  /** @param createdAt ISO 8601, UTC. */
  constructor(request: KvmRequest, vm: Machine, createdAt: string) {
    this.#request = request;
    this.#vm = vm;
    this.#createdAt = createdAt;
  }

  record(): VmRecord {
    const { name, cpus, memory, labels, ephemeral } = this.#request;
    const state = this.#state();
    return {
      name,
      state,
      reason: state === 'suspended' ? this.#reason() : null,
      cpus,
      memory,
      cid: null,
      lifetime: ephemeral ? 'ephemeral' : 'persistent',
      createdAt: this.#createdAt,
      labels: { ...labels },
    };
  }

  details(): VmDetails {
    return {
      ...this.record(),
      topology: null,
      cpuSets: null,
      vsockTransport: null,
      memoryMap: [...this.#vm.memoryMap],
      devices: [{ path: KVM_NODE, description: `the VM, held by process ${process.pid}` }],
      exports: [],
      faults: [],
      counters: Object.fromEntries(this.#exits),
    };
  }

  /**
   * A turn at a vCPU; one that is about to end is waited for. With an image it begins there, else it goes on where it was.
   * @throws SystemError EINVAL (no such vCPU; an image that does not fit), EBUSY (somebody runs it), ENXIO (it is gone).
   */
  async take(number: number, image: KvmImage | undefined): Promise<Turn> {
    const vcpu = this.#vm.vcpus[number];
    if (vcpu === undefined) {
      throw new SystemError('EINVAL', { message: `the VM has no vCPU ${number}` });
    }
    for (let turn = this.#turns.get(vcpu); turn; turn = this.#turns.get(vcpu)) {
      if (!turn.stopped) throw busy(number);
      await turn.ended;
    }
    if (this.#closed) throw gone();
    if (image !== undefined) {
      this.#vm.load(image);
      vcpu.begin(image.at);
    }
    const turn = new Turn(vcpu, () => this.#turns.delete(vcpu));
    this.#turns.set(vcpu, turn);
    return turn;
  }

  /** The next exit of a turn. @throws SystemError EINTR when it is stopped; ENXIO (it is gone); what KVM says. */
  async next(turn: Turn): Promise<KvmExit> {
    this.#hasRun = true;
    // It may be stopped before it has another one.
    this.#lastReason = undefined;
    const exit = await turn.run().catch((error) => {
      throw this.#closed ? gone() : error;
    });
    this.#lastReason = exit.reason;
    const name = kvmExitName(exit.reason);
    this.#exits.set(name, (this.#exits.get(name) ?? 0) + 1);
    return exit;
  }

  /** Stops all vCPUs, and gives everything back; once. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const turns = [...this.#turns.values()];
    for (const turn of turns) turn.stop();
    await Promise.all(turns.map(({ ended }) => ended));
    this.#vm.close();
  }

  #state(): VmState {
    if (this.#closed) return 'destroying';
    if ([...this.#turns.values()].some((turn) => !turn.stopped)) return 'running';
    return this.#hasRun ? 'suspended' : 'created';
  }

  #reason(): string {
    return REASONS[this.#lastReason ?? -1] ?? PAUSED;
  }
}

function busy(number: number): SystemError {
  return new SystemError('EBUSY', { message: `somebody runs vCPU ${number} already` });
}

function gone(): SystemError {
  return new SystemError('ENXIO', { message: 'the VM was destroyed' });
}
