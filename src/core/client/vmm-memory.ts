/**
 * Memory segments of a VM and where its guest has them, through /dev/vmm/NAME. They are laid out as libvmmapi
 * does it, so that bhyve(8) finds what it would have made. Source: vm_setup_memory() in lib/libvmmapi/vmmapi.c.
 */
import { type ErrorCode, SystemError } from '../abi/errno.js';
import type { Ioctl } from '../abi/freebsd-ioctl.js';
import {
  describeProtection,
  VM_MAX_MEMMAPS,
  VM_MAX_MEMSEGS,
  VM_PROT_ALL,
  VM_SYSMEM,
  VMM_IOCTLS,
  vm_memmap,
  vm_memseg,
  vm_memseg_14,
  vm_memseg_fbsd12,
} from '../abi/vmm.js';
import { decodeName } from '../abi/vmmctl.js';
import type { CallOptions, DeviceNode } from '../backend/port/node.js';
import type { MemoryMapping } from '../backend/port/vm.js';
import { codeOf, explain } from './explain.js';

const GIB = 2n ** 30n;
/** Memory above it goes to the addresses from 4 GiB; between them are the guest's devices. */
const LOWMEM_LIMIT = 3n * GIB;
const HIGHMEM_START = 4n * GIB;

interface Segment {
  segid: number;
  len: bigint;
  /** Empty for system memory. */
  name: string;
}

/** One form of struct vm_memseg, with the ioctls that take it. */
interface SegmentForm {
  readonly allocate: Ioctl<unknown>;
  readonly get: Ioctl<unknown>;
  encode(value: { segid: number; len?: bigint }): Uint8Array<ArrayBuffer>;
  decode(data: Uint8Array): { segid: number; len: bigint; name: Uint8Array };
}

const { VM_ALLOC_MEMSEG, VM_ALLOC_MEMSEG_14, VM_ALLOC_MEMSEG_12 } = VMM_IOCTLS;
const { VM_GET_MEMSEG, VM_GET_MEMSEG_14, VM_GET_MEMSEG_12 } = VMM_IOCTLS;

/** Of FreeBSD 15, of 13 and 14, and of 12: a kernel takes its own and often older ones, never newer ones. */
const FORMS: readonly SegmentForm[] = [
  { allocate: VM_ALLOC_MEMSEG, get: VM_GET_MEMSEG, ...vm_memseg },
  { allocate: VM_ALLOC_MEMSEG_14, get: VM_GET_MEMSEG_14, ...vm_memseg_14 },
  { allocate: VM_ALLOC_MEMSEG_12, get: VM_GET_MEMSEG_12, ...vm_memseg_fbsd12 },
];

/**
 * Gives a VM its memory, in bytes.
 * @throws SystemError ENOMEM, EINVAL; ENOTTY when the node knows no form of a segment.
 */
export async function setMemory(
  node: DeviceNode,
  memory: number,
  options: CallOptions = {},
): Promise<void> {
  const size = BigInt(memory);
  const low = size < LOWMEM_LIMIT ? size : LOWMEM_LIMIT;
  const high = size - low;
  const len = high > 0n ? HIGHMEM_START + high : low;
  await explain(allocate(node, { segid: VM_SYSMEM, len }, options), {
    ENOMEM: [`the host has not ${memory} bytes for a VM`, 'give a smaller --memory'],
  });
  if (high > 0n) await map(node, HIGHMEM_START, high, options);
  await map(node, 0n, low, options);
}

async function allocate(
  node: DeviceNode,
  segment: { segid: number; len: bigint },
  options: CallOptions,
): Promise<void> {
  await inItsForm((form) => node.ioctl(form.allocate.number, form.encode(segment), options));
}

/** System memory stands in its segment where it stands in the guest. */
async function map(
  node: DeviceNode,
  gpa: bigint,
  len: bigint,
  options: CallOptions,
): Promise<void> {
  const mapping = { gpa, segid: VM_SYSMEM, segoff: gpa, len, prot: VM_PROT_ALL };
  await node.ioctl(VMM_IOCTLS.VM_MMAP_MEMSEG.number, vm_memmap.encode(mapping), options);
}

/** What is known of a VM's memory. */
export interface Memory {
  /** Bytes of system memory: what is mapped of it or, while nothing is, the size of its segments. */
  size: number;
  /** Names of devices' segments, by their number. */
  devices: ReadonlyMap<number, string>;
  map: MemoryMapping[];
}

/** @throws SystemError ENXIO or ENOTTY when the VM is destroyed meanwhile, ENOTTY when the node is no VM's. */
export async function readMemory(node: DeviceNode, options: CallOptions = {}): Promise<Memory> {
  const segments = await readSegments(node, options);
  const devices = new Map(
    segments.filter(({ name }) => name !== '').map(({ segid, name }) => [segid, name]),
  );
  const all = await readMap(node, options);
  const mapped = sum(all.filter(({ segid }) => !devices.has(segid)));
  const size = mapped > 0n ? mapped : sum(segments.filter(({ name }) => name === ''));
  return { size: Number(size), devices, map: all.map((each) => shown(each, devices)) };
}

/** Segments that have memory. */
async function readSegments(node: DeviceNode, options: CallOptions): Promise<Segment[]> {
  const ask = async (form: SegmentForm, segid: number): Promise<Segment> => {
    const { data } = await node.ioctl(form.get.number, form.encode({ segid }), options);
    const { len, name } = form.decode(data);
    return { segid, len, name: decodeName(name) };
  };
  const found = await inItsForm(async (form) => ({ form, first: await ask(form, VM_SYSMEM) }));
  const segments = [found.first];
  // Releases differ in how many there may be; what is none is EINVAL.
  for (let segid = VM_SYSMEM + 1; segid < VM_MAX_MEMSEGS; segid++) {
    const segment = await unless('EINVAL', ask(found.form, segid));
    if (segment === undefined) break;
    segments.push(segment);
  }
  return segments.filter(({ len }) => len > 0n);
}

type Memmap = ReturnType<typeof vm_memmap.decode>;

/** The mappings by address. */
async function readMap(node: DeviceNode, options: CallOptions): Promise<Memmap[]> {
  const found: Memmap[] = [];
  let gpa = 0n;
  while (found.length < VM_MAX_MEMMAPS) {
    const argument = vm_memmap.encode({ gpa });
    const call = node.ioctl(VMM_IOCTLS.VM_MMAP_GETNEXT.number, argument, options);
    const answer = await unless('ENOENT', call);
    if (answer === undefined) break;
    const next = vm_memmap.decode(answer.data);
    found.push(next);
    gpa = next.gpa + next.len;
  }
  return found;
}

function shown(map: Memmap, devices: ReadonlyMap<number, string>): MemoryMapping {
  return {
    address: Number(map.gpa),
    size: Number(map.len),
    segment: map.segid,
    device: devices.get(map.segid) ?? null,
    offset: Number(map.segoff),
    access: describeProtection(map.prot),
  };
}

/** Makes a call in the newest form that the kernel knows. */
async function inItsForm<T>(call: (form: SegmentForm) => Promise<T>): Promise<T> {
  let unknown: unknown = new SystemError('ENOTTY');
  for (const form of FORMS) {
    try {
      return await call(form);
    } catch (error) {
      if (codeOf(error) !== 'ENOTTY') throw error;
      unknown = error;
    }
  }
  throw unknown;
}

/** The result of a call, or undefined when it ends with that error. */
async function unless<T>(code: ErrorCode, call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (codeOf(error) === code) return undefined;
    throw error;
  }
}

function sum(parts: readonly { len: bigint }[]): bigint {
  return parts.reduce((total, { len }) => total + len, 0n);
}
