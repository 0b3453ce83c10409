/**
 * The simulated kernel as the client for VMs has a real one: nodes, directories and sysctls, with their bytes and
 * errors, and no management. Single calls can be told to fail, or to be preceded by something.
 */
import { type ErrorCode, SystemError } from '../../src/core/abi/errno.js';
import { VMM_IOCTLS } from '../../src/core/abi/vmm.js';
import { VMMCTL_IOCTLS } from '../../src/core/abi/vmmctl.js';
import type { Backend, DeviceNode, Machine } from '../../src/core/backend/port.js';
import type { Machine as SimulatedMachine } from '../../src/core/simulator/machine.js';
import {
  type Caller,
  type OpenNode,
  type PromptNode,
  ROOT,
} from '../../src/core/simulator/node.js';
import type { VmmConfig } from '../../src/core/simulator/vmm/config.js';
import { promptly } from './promptly.js';
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
    return this.#test.world.host.open(`/dev/vmm/${name}`, ROOT, 'rw');
  }

  /** /dev/vmmctl, as another program would open it. */
  control(caller: Caller): PromptNode {
    return this.#test.world.host.open('/dev/vmmctl', caller, 'rw');
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
        const { result, data } = promptly(node.ioctl(request, argument));
        // Where the kernel copies nothing out the caller's bytes are what they were.
        return { result, data: data ?? (argument instanceof Uint8Array ? argument : NOTHING) };
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

const NOTHING = new Uint8Array(0);
