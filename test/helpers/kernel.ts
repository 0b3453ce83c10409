/**
 * The simulated kernel as the client for VMs has a real one: nodes, directories and sysctls, with their bytes and
 * errors, and no management. Single calls can be told to fail, or to be preceded by something.
 */
import { type ErrorCode, SystemError } from '../../src/core/abi/errno.js';
import { VMM_IOCTLS } from '../../src/core/abi/vmm.js';
import { VMMCTL_IOCTLS } from '../../src/core/abi/vmmctl.js';
import type { DeviceNode, IoctlOptions, IoctlResult } from '../../src/core/backend/port/node.js';
import type { Backend, Machine } from '../../src/core/backend/port.js';
import { takeMemory, withMemory } from '../../src/core/backend/simulator/memory.js';
import { SentMemory } from '../../src/core/daemon/user-memory.js';
import type { Machine as SimulatedMachine } from '../../src/core/simulator/machine.js';
import {
  type Caller,
  type IoctlReply,
  type OpenNode,
  PendingIoctl,
  type PromptNode,
  ROOT,
} from '../../src/core/simulator/node.js';
import type { VmmConfig } from '../../src/core/simulator/vmm/config.js';
import { prompt } from './vmm.js';
import { testWorld } from './world.js';

const NAMES = new Map(
  Object.values({ ...VMMCTL_IOCTLS, ...VMM_IOCTLS }).map(({ number, name }) => [number, name]),
);

/** A backend as it would be if it had no management: that of real nodes has none. */
export function withoutManagement(backend: Backend): Backend {
  return {
    uri: 'device',
    machine: (name) => backend.machine(name),
    close: () => backend.close(),
  };
}

export interface KernelOptions extends Partial<VmmConfig> {
  caller?: Caller;
  /** The machine is one without any vmm(4). */
  bare?: boolean;
}

export class Kernel implements Backend {
  readonly uri = 'device';
  /** Calls in their order, ioctls by the names of the headers. */
  readonly calls: string[] = [];
  readonly #test: ReturnType<typeof testWorld>;
  readonly #caller: Caller;
  readonly #machine: SimulatedMachine;
  readonly #open = new Set<OpenNode>();
  readonly #before = new Map<string, () => void>();

  constructor({ caller = ROOT, bare = false, ...config }: KernelOptions = {}) {
    this.#test = testWorld(config);
    this.#caller = caller;
    const { world } = this.#test;
    if (bare) this.#test.create('elsewhere');
    this.#machine = world.machine(bare ? { vm: 'elsewhere' } : 'host', caller);
  }

  /** VMs by name, as the kernel has them. */
  get vms() {
    return new Map(this.#test.world.vmm.all().map((vm) => [vm.name, vm]));
  }

  /** Makes one call fail from now on. */
  failing(call: string, code: ErrorCode): this {
    return this.before(call, () => {
      throw new SystemError(code, { syscall: 'ioctl' });
    });
  }

  /** Does something each time before a call. */
  before(call: string, action: () => void): this {
    this.#before.set(call, action);
    return this;
  }

  /** Another program's view of the same kernel: it makes a VM with hw.vmm.create. */
  add(name: string, caller: Caller = ROOT): this {
    this.#test.world.host.sysctl('hw.vmm.create', name, caller);
    return this;
  }

  /** The node of a VM, as another program would open it. */
  node(name: string): PromptNode {
    return prompt(this.#test.world.host.open(`/dev/vmm/${name}`, ROOT, 'rw'));
  }

  /** /dev/vmmctl, as another program would open it. */
  control(caller: Caller): PromptNode {
    return prompt(this.#test.world.host.open('/dev/vmmctl', caller, 'rw'));
  }

  /** What a vCPU executes. */
  program(name: string, vcpu: number, text: string): this {
    const vm = this.vms.get(name);
    if (vm !== undefined) this.#test.world.vmm.setProgram(vm, vcpu, text);
    return this;
  }

  remove(name: string): void {
    this.#test.world.vmm.destroyByName(name, ROOT);
  }

  machine(): Machine {
    const unsupported = async (): Promise<never> => {
      throw new SystemError('EOPNOTSUPP');
    };
    return {
      open: async (path, { access = 'rw' } = {}) => {
        this.#call(`open ${path}`);
        return this.#node(path, this.#machine.open(path, this.#caller, access));
      },
      readdir: async (path) => this.#machine.readdir(path, this.#caller),
      sysctl: async (name, value) => {
        this.#call(name);
        return this.#machine.sysctl(name, value, this.#caller);
      },
      readFile: unsupported,
      socket: unsupported,
      localCid: unsupported,
    };
  }

  /** As when the process that has it dies. */
  async close(): Promise<void> {
    for (const node of this.#open) node.close();
    this.#open.clear();
  }

  #node(path: string, node: OpenNode): DeviceNode {
    this.#open.add(node);
    return {
      path,
      ioctl: async (request, argument = 0, options = {}) => {
        if (options.signal?.aborted) throw new SystemError('EINTR', { syscall: 'ioctl' });
        this.#call(NAMES.get(request) ?? `ioctl 0x${request.toString(16)}`);
        return call(node, request, argument, options);
      },
      close: async () => {
        this.#call(`close ${path}`);
        this.#open.delete(node);
        node.close();
      },
    };
  }

  #call(name: string): void {
    this.calls.push(name);
    this.#before.get(name)?.();
  }
}

/** With the memory that the argument points to, as it goes to a simulated host and comes back. */
async function call(
  node: OpenNode,
  request: number,
  argument: Uint8Array | number,
  { pointers = [], signal }: IoctlOptions,
): Promise<IoctlResult> {
  if (typeof argument === 'number') {
    return { data: NOTHING, ...(await settled(node.ioctl(request, argument), signal)) };
  }
  const sent = withMemory(argument, pointers);
  const { argument: bytes, memory } = SentMemory.split({ memory: sent.memory }, sent.bytes);
  const { result, data } = await settled(node.ioctl(request, bytes, memory), signal);
  const { written, bytes: changed } = memory.changes();
  // Where the kernel copies nothing out the caller's bytes are what they were.
  const all = Buffer.concat([data ?? bytes, ...changed]);
  return { result, data: takeMemory(written, all, pointers) };
}

/** The reply of an ioctl; one that waits is interrupted by the signal. */
function settled(
  begun: IoctlReply | PendingIoctl,
  signal: AbortSignal | undefined,
): Promise<IoctlReply> | IoctlReply {
  if (!(begun instanceof PendingIoctl)) return begun;
  return new Promise((resolve, reject) => {
    signal?.addEventListener('abort', () => begun.interrupt());
    begun.onFinish((outcome) => {
      if (outcome instanceof SystemError) reject(outcome);
      else resolve(outcome);
    });
  });
}

const NOTHING = new Uint8Array(0);
