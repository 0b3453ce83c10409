/**
 * The life of a VM as bhyve's devices give it: /dev/vmmctl creates and destroys, /dev/vmm/NAME sets it up.
 * What no node of the host sets (CID, labels) goes through the backend's management channel.
 */
import { type ErrorCode, SystemError } from '../abi/errno.js';
import { VM_SYSMEM, VMM_IOCTLS, vm_activate_cpu, vm_cpu_topology, vm_memseg } from '../abi/vmm.js';
import {
  encodeName,
  VMMCTL_CREATE_DESTROY_ON_CLOSE,
  VMMCTL_VM_CREATE,
  VMMCTL_VM_DESTROY,
  vmmctl_vm_create,
  vmmctl_vm_destroy,
} from '../abi/vmmctl.js';
import type { Backend, CallOptions, DeviceNode, VmRecord } from '../backend/port.js';

const CONTROL_NODE = '/dev/vmmctl';
const VM_NODES = '/dev/vmm';

export interface CreateRequest {
  name: string;
  cpus: number;
  /** Bytes. */
  memory: number;
  /** The lowest free one when left out. */
  cid?: number | undefined;
  labels?: Readonly<Record<string, string>> | undefined;
  /** The VM is destroyed when the held node is closed. */
  ephemeral: boolean;
}

export interface CreatedVm {
  vm: VmRecord;
  /** Only of an ephemeral VM: what keeps it alive. */
  hold: DeviceNode | undefined;
}

/** Creates a VM with all that was asked for, or nothing. */
export async function createVm(
  backend: Backend,
  request: CreateRequest,
  options: CallOptions = {},
): Promise<CreatedVm> {
  const control = await openControl(backend, options);
  try {
    let vm = await makeVm(backend, control, request, 'landed', options);
    if (vm.lifetime !== null && vm.lifetime !== lifetimeOf(request)) {
      // The flag means the opposite: the node speaks the dialect of the draft.
      await destroyOn(control, request.name, {});
      vm = await makeVm(backend, control, request, 'draft', options);
    }
    if (request.ephemeral) return { vm, hold: control };
    await control.close();
    return { vm, hold: undefined };
  } catch (error) {
    await control.close().catch(() => {});
    throw error;
  }
}

/** Destroys VMs through one opened control node; `report` is told of each that could not be. */
export async function destroyVms(
  backend: Backend,
  names: readonly string[],
  report: (name: string, error: unknown) => void,
  options: CallOptions = {},
): Promise<string[]> {
  const control = await openControl(backend, options);
  const destroyed: string[] = [];
  try {
    for (const name of names) {
      try {
        await destroyListed(backend, control, name, options);
        destroyed.push(name);
      } catch (error) {
        report(name, await wordDestroyError(backend, name, error));
      }
    }
  } finally {
    await control.close();
  }
  return destroyed;
}

/** Every VM, sorted by name. A backend without management knows their names alone. */
export async function listVms(backend: Backend): Promise<VmRecord[]> {
  const vms = backend.management
    ? await backend.management.vms()
    : (await backend.machine('host').readdir(VM_NODES)).map(unknownRecord);
  return sortByName(vms);
}

/** By code units, so that the order is the same everywhere. */
export function sortByName(vms: readonly VmRecord[]): VmRecord[] {
  return [...vms].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

function openControl(backend: Backend, options: CallOptions): Promise<DeviceNode> {
  return backend.machine('host').open(CONTROL_NODE, { ...options, access: 'rw' });
}

/** What the first flag of VMMCTL_VM_CREATE means: `landed`, destroy on close; `draft`, persistent. */
type Dialect = 'landed' | 'draft';

const lifetimeOf = ({ ephemeral }: CreateRequest) => (ephemeral ? 'ephemeral' : 'persistent');

async function makeVm(
  backend: Backend,
  control: DeviceNode,
  request: CreateRequest,
  dialect: Dialect,
  options: CallOptions,
): Promise<VmRecord> {
  const first = request.ephemeral === (dialect === 'landed');
  const flags = first ? VMMCTL_CREATE_DESTROY_ON_CLOSE : 0;
  const argument = vmmctl_vm_create.encode({ name: encodeName(request.name), flags });
  await explain(control.ioctl(VMMCTL_VM_CREATE, argument, options), {
    EEXIST: [
      `there is already a VM '${request.name}'`,
      `'vmmctl inspect ${request.name}' shows it; 'vmmctl destroy ${request.name}' makes room`,
    ],
    ENOMEM: ["the limit of a user's VMs is reached", 'see the setting hw.vmm.maxvmms'],
    EPERM: ['this user may not create a VM that stays', 'create it with --ephemeral'],
  });
  return setUp(backend, control, request, options);
}

async function setUp(
  backend: Backend,
  control: DeviceNode,
  request: CreateRequest,
  options: CallOptions,
): Promise<VmRecord> {
  try {
    await setTopologyAndMemory(backend, request, options);
    return await configure(backend, request);
  } catch (error) {
    // Not under the caller's signal: what was begun is undone also when the user interrupts.
    await destroyOn(control, request.name, {}).catch(() => {});
    throw error;
  }
}

async function setTopologyAndMemory(
  backend: Backend,
  request: CreateRequest,
  options: CallOptions,
): Promise<void> {
  const node = await backend.machine('host').open(`${VM_NODES}/${request.name}`, options);
  try {
    const topology = { sockets: 1, cores: request.cpus, threads: 1 };
    await explain(
      node.ioctl(VMM_IOCTLS.VM_SET_TOPOLOGY.number, vm_cpu_topology.encode(topology), options),
      { EINVAL: [`the host does not give a VM ${request.cpus} CPUs`, undefined] },
    );
    const memory = { segid: VM_SYSMEM, len: BigInt(request.memory) };
    await explain(
      node.ioctl(VMM_IOCTLS.VM_ALLOC_MEMSEG.number, vm_memseg.encode(memory), options),
      { ENOMEM: [`the host has not ${request.memory} bytes for a VM`, 'give a smaller --memory'] },
    );
    const cpu = vm_activate_cpu.encode({ vcpuid: 0 });
    await node.ioctl(VMM_IOCTLS.VM_ACTIVATE_CPU.number, cpu, options);
  } finally {
    await node.close();
  }
}

async function configure(backend: Backend, request: CreateRequest): Promise<VmRecord> {
  const { name, cpus, memory, cid, labels = {} } = request;
  if (backend.management) {
    const change = { cid: cid ?? ('auto' as const), labels: { ...labels } };
    return await explain(backend.management.configure(name, change), {
      EADDRINUSE: [`CID ${cid} is in use`, 'leave --cid out to get a free one'],
    });
  }
  if (cid !== undefined || Object.keys(labels).length > 0) {
    throw new SystemError('EOPNOTSUPP', {
      message: `the backend '${backend.uri}' has no CIDs and labels of its own`,
    });
  }
  return { ...unknownRecord(name), cpus, memory, lifetime: lifetimeOf(request) };
}

async function destroyOn(control: DeviceNode, name: string, options: CallOptions): Promise<void> {
  const argument = vmmctl_vm_destroy.encode({ name: encodeName(name) });
  await control.ioctl(VMMCTL_VM_DESTROY, argument, options);
}

/** Destroys by the name under which a VM is listed: in one of a jail below the jail's path stands before it. */
async function destroyListed(
  backend: Backend,
  control: DeviceNode,
  name: string,
  options: CallOptions,
): Promise<void> {
  try {
    await destroyOn(control, name, options);
  } catch (error) {
    const own = codeOf(error) === 'EINVAL' ? await ownName(backend, name) : undefined;
    if (own === undefined) throw error;
    await destroyOn(control, own, options);
  }
}

/** The name by which the nodes know a VM that is listed with a jail before its name. */
async function ownName(backend: Backend, listed: string): Promise<string | undefined> {
  for (let at = listed.indexOf('/'); at >= 0; at = listed.indexOf('/', at + 1)) {
    const name = listed.slice(at + 1);
    const vm = await backend.management?.vm(name).catch(() => undefined);
    if (vm?.name === listed) return name;
  }
  return undefined;
}

/** The ioctl says EINVAL for a name that it does not find and for a VM that is on its way out. */
async function wordDestroyError(backend: Backend, name: string, error: unknown): Promise<unknown> {
  if (codeOf(error) !== 'EINVAL') return error;
  const known = await backend.management?.vm(name).catch(() => undefined);
  const message = known ? `VM '${name}' is being destroyed already` : `no VM '${name}'`;
  return new SystemError('ENOENT', { message, cause: error });
}

/** Gives some errors of a call better words; `[message, hint]` by code. */
async function explain<T>(
  call: Promise<T>,
  words: Partial<Record<ErrorCode, [message: string, hint: string | undefined]>>,
): Promise<T> {
  try {
    return await call;
  } catch (error) {
    const code = codeOf(error);
    const found = code === undefined ? undefined : words[code];
    if (code === undefined || found === undefined) throw error;
    throw new SystemError(code, { message: found[0], hint: found[1] });
  }
}

function codeOf(error: unknown): ErrorCode | undefined {
  return error instanceof SystemError ? error.code : undefined;
}

function unknownRecord(name: string): VmRecord {
  return {
    name,
    state: 'created',
    cpus: null,
    memory: null,
    cid: null,
    lifetime: null,
    createdAt: null,
    labels: {},
  };
}
