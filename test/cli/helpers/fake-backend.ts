/**
 * A host with states and no behaviour beyond them: it decodes the ioctls that the client for VMs sends, so
 * that the client is tested against numbers and layouts. One call can be told to fail.
 */
import { type ErrorCode, SystemError } from '../../../src/core/abi/errno.js';
import { VMM_IOCTLS, vm_cpu_topology, vm_memseg } from '../../../src/core/abi/vmm.js';
import {
  decodeName,
  VMMCTL_CREATE_DESTROY_ON_CLOSE,
  VMMCTL_VM_CREATE,
  VMMCTL_VM_DESTROY,
  vmmctl_vm_create,
  vmmctl_vm_destroy,
} from '../../../src/core/abi/vmmctl.js';
import type { ConnectOptions } from '../../../src/core/backend/connect.js';
import type { DeviceNode, IoctlResult } from '../../../src/core/backend/port/node.js';
import type { VmRecord } from '../../../src/core/backend/port/vm.js';
import type { Backend, Machine, Management } from '../../../src/core/backend/port.js';
import { FakeDevices } from './fake-devices.js';

export class FakeBackend implements Backend {
  uri = 'sim';
  readonly vms = new Map<string, VmRecord>();
  readonly devices = new FakeDevices(this.vms);
  /** Calls in their order, by the names of the headers. */
  readonly calls: string[] = [];
  readonly failures = new Map<string, ErrorCode>();
  /** What `watch` yields. */
  lists: VmRecord[][] = [];
  /** What becomes of a VM whose guest runs; nothing when left out. */
  suspension: (() => Promise<string>) | undefined;
  connectOptions: ConnectOptions = {};
  closed = false;
  hang = false;
  readonly management: Management = this.#manager();

  connected(uri: string, options: ConnectOptions): Backend {
    this.uri = uri;
    this.connectOptions = options;
    this.#call('connect');
    return this;
  }

  /** Makes one call fail from now on. */
  failing(call: string, code: ErrorCode): this {
    this.failures.set(call, code);
    return this;
  }

  add(name: string, change: Partial<VmRecord> = {}): this {
    this.vms.set(name, { ...record(name), cid: 3 + this.vms.size, ...change });
    return this;
  }

  machine(): Machine {
    const unsupported = async (): Promise<never> => {
      throw new SystemError('EOPNOTSUPP');
    };
    return {
      open: async (path) => this.#open(path),
      readdir: async () => [...this.vms.keys()],
      readFile: unsupported,
      sysctl: unsupported,
      socket: unsupported,
      localCid: async () => 2,
    };
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  #call(name: string): void {
    this.calls.push(name);
    const code = this.failures.get(name);
    if (code) throw new SystemError(code, { syscall: 'ioctl' });
  }

  #open(path: string): DeviceNode {
    this.#call(`open ${path}`);
    const owned: string[] = [];
    return {
      path,
      ioctl: async (request, argument) => this.#ioctl(path, request, argument, owned),
      close: async () => {
        this.#call(`close ${path}`);
        for (const name of owned) this.vms.delete(name);
      },
    };
  }

  #ioctl(
    path: string,
    request: number,
    argument: Uint8Array | number | undefined,
    owned: string[],
  ): IoctlResult {
    const data = argument instanceof Uint8Array ? argument : new Uint8Array();
    const name = path.slice('/dev/vmm/'.length);
    switch (request) {
      case VMMCTL_VM_CREATE:
        this.#create(data, owned);
        break;
      case VMMCTL_VM_DESTROY:
        this.#destroy(decodeName(vmmctl_vm_destroy.decode(data).name));
        break;
      case VMM_IOCTLS.VM_SET_TOPOLOGY.number:
        this.#call('VM_SET_TOPOLOGY');
        this.#change(name, { cpus: vm_cpu_topology.decode(data).cores });
        break;
      case VMM_IOCTLS.VM_ALLOC_MEMSEG.number:
        this.#call('VM_ALLOC_MEMSEG');
        this.#change(name, { memory: Number(vm_memseg.decode(data).len) });
        break;
      case VMM_IOCTLS.VM_MMAP_MEMSEG.number:
        this.#call('VM_MMAP_MEMSEG');
        break;
      case VMM_IOCTLS.VM_GET_TOPOLOGY.number:
        this.#call('VM_GET_TOPOLOGY');
        if (!this.vms.has(name)) throw new SystemError('ENXIO');
        break;
      default:
        throw new SystemError('ENOTTY');
    }
    return { result: 0, data };
  }

  #create(data: Uint8Array, owned: string[]): void {
    this.#call('VMMCTL_VM_CREATE');
    const { name: bytes, flags } = vmmctl_vm_create.decode(data);
    const name = decodeName(bytes);
    if (this.vms.has(name)) throw new SystemError('EEXIST');
    const ephemeral = (flags & VMMCTL_CREATE_DESTROY_ON_CLOSE) !== 0;
    if (ephemeral) owned.push(name);
    this.vms.set(name, { ...record(name), lifetime: ephemeral ? 'ephemeral' : 'persistent' });
  }

  #destroy(name: string): void {
    this.#call('VMMCTL_VM_DESTROY');
    if (!this.vms.delete(name)) throw new SystemError('EINVAL');
  }

  #change(name: string, change: Partial<VmRecord>): VmRecord {
    const vm = this.vms.get(name);
    if (!vm) throw new SystemError('ENOENT', { message: `no VM '${name}'` });
    const changed = { ...vm, ...change };
    this.vms.set(name, changed);
    return changed;
  }

  #manager(): Management {
    const self = this;
    return {
      async vms() {
        self.#call('vms');
        if (self.hang) await new Promise(() => {});
        return [...self.vms.values()];
      },
      vm: async (name) => self.#change(name, {}),
      inspect: async (name) => ({
        ...self.#change(name, {}),
        topology: { sockets: 1, cores: 1, threads: 1, maxcpus: 4 },
        cpuSets: { active: [], suspended: [], debug: [] },
        vsockTransport: 'virtio',
        memoryMap: [],
        devices: [{ path: `/dev/vmm/${name}`, description: 'the VM' }],
        exports: [{ kind: 'vsock', path: `/run/${name}.vsock` }],
        faults: (self.devices.faults.get(name) ?? []).map(({ kind }) => kind),
        counters: { packets: 7 },
      }),
      async configure(name, { cid, labels }) {
        self.#call('configure');
        const taken = [...self.vms.values()].map((vm) => vm.cid);
        if (cid !== 'auto' && taken.includes(cid ?? null)) throw new SystemError('EADDRINUSE');
        let free = 3;
        while (taken.includes(free)) free += 1;
        return self.#change(name, {
          cid: cid === 'auto' || cid === undefined ? free : cid,
          labels: labels ?? {},
        });
      },
      hostVersion: async () => ({
        product: 'vmmctl simulated host',
        version: '0.1.0',
        revision: 'r1',
        features: ['vsock', 'seqpacket'],
      }),
      suspension: (name, { signal }) => {
        self.#change(name, {});
        if (self.suspension) return self.suspension();
        return new Promise((_, reject) => {
          signal?.addEventListener('abort', () => reject(new SystemError('EINTR')));
        });
      },
      async *watch() {
        yield* self.lists;
      },
      ...self.devices.management((name) => self.#call(name)),
    };
  }
}

export function record(name: string): VmRecord {
  return {
    name,
    state: 'created',
    reason: null,
    cpus: 1,
    memory: 512 * 2 ** 20,
    cid: null,
    lifetime: 'persistent',
    createdAt: '2026-01-02T03:04:00.000Z',
    labels: {},
  };
}
