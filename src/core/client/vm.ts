/**
 * The life of a VM as bhyve's devices give it: /dev/vmmctl or the sysctls create and destroy, /dev/vmm/NAME sets
 * it up. What no node of the host sets or tells (CID, labels, state) goes through the backend's management
 * channel; a backend without one doesn't have it, and what is not known is null. Where there is no vmm(4), VMs are KVM's.
 */
import { SystemError } from '../abi/errno.js';
import { VMM_IOCTLS, vm_cpu_topology } from '../abi/vmm.js';
import { VMMCTL_CREATE_DESTROY_ON_CLOSE } from '../abi/vmmctl.js';
import type { CallOptions, DeviceNode } from '../backend/port/node.js';
import type { VmDetails, VmRecord } from '../backend/port/vm.js';
import type { VsockTransport } from '../backend/port/vsock.js';
import type { Backend } from '../backend/port.js';
import { codeOf, explain, type Words } from './explain.js';
import { kvmOf } from './kvm-choice.js';
import { createKvmVm, inspectKvmVm } from './kvm-vm.js';
import { NewVm } from './new-vm.js';
import { openControl, type VmControl } from './vmm-control.js';
import { setMemory } from './vmm-memory.js';
import { inspectVmNode, readVm, unknownVm, vmNodeNames } from './vmm-nodes.js';

export interface CreateRequest {
  name: string;
  cpus: number;
  /** Bytes. */
  memory: number;
  /** The lowest free one when left out, where VMs have CIDs. */
  cid?: number | undefined;
  labels?: Readonly<Record<string, string>> | undefined;
  /** What carries its vsock, where VMs have that; virtio when left out. */
  vsockTransport?: VsockTransport | undefined;
  /** The VM is destroyed when what holds it is closed. */
  ephemeral: boolean;
}

/** What keeps an ephemeral VM alive. */
export interface Hold {
  /**
   * Who ends the VM: the kernel, however this process ends, or we, unless this process is killed. The latter
   * where the kernel has no destroy-on-close.
   */
  readonly by: 'kernel' | 'client';
  /** @throws SystemError when the VM could not be destroyed, and is still there. */
  close(): Promise<void>;
}

export interface CreatedVm {
  vm: VmRecord;
  /** Only of an ephemeral VM. */
  hold: Hold | undefined;
}

/**
 * Creates a VM with all that was asked for, or nothing.
 * @throws SystemError EEXIST, EADDRINUSE, ENOMEM, EINVAL, EACCES, EPERM; EOPNOTSUPP for what the backend does not
 * give a VM; ENXIO where there is neither vmm(4) nor KVM.
 */
export async function createVm(
  backend: Backend,
  request: CreateRequest,
  options: CallOptions = {},
): Promise<CreatedVm> {
  const kvm = await kvmOf(backend);
  if (kvm) return createKvmVm(kvm, request, options);
  refuseWhatIsNotThere(backend, request);
  for (const dialect of DIALECTS) {
    const created = await createIn(dialect, backend, request, options);
    if (created !== undefined) return created;
  }
  throw new SystemError('EIO', {
    message: `VM '${request.name}' does not live as long as it was told to, and is gone`,
  });
}

/** Every VM, sorted by name. One that ends meanwhile is left out. @throws SystemError ENXIO without vmm(4) and KVM. */
export async function listVms(backend: Backend, options: CallOptions = {}): Promise<VmRecord[]> {
  if (backend.management) return sortByName(await backend.management.vms());
  const kvm = await kvmOf(backend);
  if (kvm) return sortByName(await kvm.vms());
  const machine = backend.machine('host');
  const vms: VmRecord[] = [];
  for (const name of await vmNodeNames(machine)) {
    const vm = await readVm(machine, name, options);
    if (vm !== undefined) vms.push(vm);
  }
  return sortByName(vms);
}

/** Names of every VM, sorted. @throws SystemError ENXIO without vmm(4) and KVM. */
export async function vmNames(backend: Backend): Promise<string[]> {
  if (!backend.management && !(await kvmOf(backend))) {
    return (await vmNodeNames(backend.machine('host'))).sort();
  }
  return (await listVms(backend)).map((vm) => vm.name);
}

/** Everything that is known of a VM. @throws SystemError ENOENT; EACCES and EPERM; ENXIO without vmm(4) and KVM. */
export async function inspectVm(
  backend: Backend,
  name: string,
  options: CallOptions = {},
): Promise<VmDetails> {
  if (backend.management) return backend.management.inspect(name);
  const kvm = await kvmOf(backend);
  if (kvm) return inspectKvmVm(backend, kvm, name);
  return inspectVmNode(backend.machine('host'), name, options);
}

/** By code units, so that the order is the same everywhere. */
export function sortByName(vms: readonly VmRecord[]): VmRecord[] {
  return [...vms].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

/**
 * What the first flag of VMMCTL_VM_CREATE means: `landed`, destroy on close; `draft`, persistent. A node does not
 * tell; how long a VM lives does.
 */
const DIALECTS = ['landed', 'draft'] as const;
type Dialect = (typeof DIALECTS)[number];

const lifetimeOf = ({ ephemeral }: CreateRequest) => (ephemeral ? 'ephemeral' : 'persistent');

function refuseWhatIsNotThere(backend: Backend, { cid, labels = {} }: CreateRequest): void {
  if (backend.management) return;
  const asked = cid !== undefined ? 'CID' : Object.keys(labels).length > 0 ? 'labels' : undefined;
  if (asked === undefined) return;
  throw new SystemError('EOPNOTSUPP', {
    message: `the backend '${backend.uri}' has no ${asked === 'CID' ? 'CIDs' : asked} for VMs`,
    hint: `leave ${asked === 'CID' ? '--cid' : '--label'} out, or use the simulated host: --backend sim`,
  });
}

/** Undefined when the VM lived the other way, so that the node speaks the other dialect; it is gone then. */
async function createIn(
  dialect: Dialect,
  backend: Backend,
  request: CreateRequest,
  options: CallOptions,
): Promise<CreatedVm | undefined> {
  const { name } = request;
  const machine = backend.machine('host');
  const control = await openControl(machine, options);
  const made = new NewVm(name, machine, control);
  try {
    const by = await makeByName(control, request, dialect, options);
    made.exists = true;
    await setUp(await made.open(options), request, options);
    const vm = await configure(backend, request);
    return request.ephemeral ? await hold(backend, made, vm, by) : await release(backend, made, vm);
  } catch (error) {
    throw await made.undo(error);
  }
}

/** An ephemeral VM, with what holds it. */
async function hold(
  backend: Backend,
  made: NewVm,
  vm: VmRecord,
  by: Hold['by'],
): Promise<CreatedVm | undefined> {
  const ephemeral = { ...vm, lifetime: 'ephemeral' as const };
  // Who has management tells us what the kernel will do; else we look when the time has come.
  if (by === 'client' || !backend.management || vm.lifetime === null) {
    return { vm: ephemeral, hold: { by, close: () => made.end() } };
  }
  if (vm.lifetime === 'ephemeral') {
    await made.forget();
    return { vm, hold: { by, close: () => made.close() } };
  }
  await made.end();
  return undefined;
}

/** A persistent VM, of which nothing is held; undefined when the kernel has destroyed it with what held it. */
async function release(
  backend: Backend,
  made: NewVm,
  vm: VmRecord,
): Promise<CreatedVm | undefined> {
  if (backend.management && vm.lifetime === 'ephemeral') {
    await made.end();
    return undefined;
  }
  const stays = await made.letGo({ look: !backend.management });
  return stays ? { vm, hold: undefined } : undefined;
}

/**
 * Creates a VM with one vCPU and no memory. Gives back who ends it if it is ephemeral: a kernel that knows no
 * flags (15.0, and sysctls) says EINVAL to any, as it does to a bad name, and then takes none.
 */
async function makeByName(
  control: VmControl,
  request: CreateRequest,
  dialect: Dialect,
  options: CallOptions,
): Promise<Hold['by']> {
  const first = request.ephemeral === (dialect === 'landed');
  const create = (flags: number) => control.create(request.name, flags, options);
  const work = async (): Promise<Hold['by']> => {
    if (!first || !control.takesFlags) {
      await create(0);
      return control.takesFlags ? 'kernel' : 'client';
    }
    try {
      await create(VMMCTL_CREATE_DESTROY_ON_CLOSE);
      return 'kernel';
    } catch (error) {
      if (codeOf(error) !== 'EINVAL' || !request.ephemeral) throw error;
    }
    await create(0);
    return 'client';
  };
  return explain(work(), createWords(request, control));
}

function createWords({ name, ephemeral }: CreateRequest, { takesFlags }: VmControl): Words {
  const words: Words = {
    EEXIST: [
      `there is already a VM '${name}'`,
      `'vmmctl inspect ${name}' shows it; 'vmmctl destroy ${name}' makes room`,
    ],
    ENOMEM: ["the limit of a user's VMs is reached", 'see the setting hw.vmm.maxvmms'],
    EINVAL: [`the host takes no VM of the name '${name}'`, 'a shorter and plainer name may do'],
    ENXIO: [
      'vmm(4) is there, but could not start on this machine',
      'it needs a processor with VT-x or AMD-V that nobody else uses; see dmesg(8)',
    ],
  };
  // Who writes a sysctl is told otherwise what is missing.
  if (takesFlags) words.EPERM = ephemeral ? NO_VMS : NO_PERSISTENT_VMS;
  return words;
}

const NO_VMS = ['this user may not create VMs', 'be root; a jail needs allow.vmm'] as const;
const NO_PERSISTENT_VMS = [
  'this user may not create a VM that stays',
  'create it with --ephemeral',
] as const;

/** No vCPU is activated: that is up to who runs the VM, and bhyve(8) gives up when somebody was faster. */
async function setUp(
  node: DeviceNode,
  request: CreateRequest,
  options: CallOptions,
): Promise<void> {
  const topology = { sockets: 1, cores: request.cpus, threads: 1 };
  await explain(
    node.ioctl(VMM_IOCTLS.VM_SET_TOPOLOGY.number, vm_cpu_topology.encode(topology), options),
    { EINVAL: [`the host does not give a VM ${request.cpus} CPUs`] },
  );
  await setMemory(node, request.memory, options);
}

async function configure(backend: Backend, request: CreateRequest): Promise<VmRecord> {
  const { name, cpus, memory, cid, labels = {}, vsockTransport = 'virtio' } = request;
  if (backend.management) {
    const change = { cid: cid ?? ('auto' as const), labels: { ...labels }, vsockTransport };
    return await explain(backend.management.configure(name, change), {
      EADDRINUSE: [`CID ${cid} is in use`, 'leave --cid out to get a free one'],
    });
  }
  // Nobody can have run it yet.
  return { ...unknownVm(name), state: 'created', cpus, memory, lifetime: lifetimeOf(request) };
}
