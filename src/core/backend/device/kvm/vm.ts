/** A VM of KVM: its descriptors, memory and vCPUs, in the process that holds it. x86-64. */
import { errnoOf, SystemError } from '../../../abi/errno.js';
import { KVM_GET_VCPU_MMAP_SIZE } from '../../../abi/kvm.js';
import {
  KVM_CPUID_ENTRY_SIZE,
  KVM_CREATE_VCPU,
  KVM_CREATE_VM,
  KVM_GET_SUPPORTED_CPUID,
  KVM_SET_CPUID2,
  KVM_SET_TSS_ADDR,
  kvm_cpuid2,
} from '../../../abi/kvm-vm.js';
import type { GuestMemory } from '../../../native/guest-memory.js';
import type { Libc } from '../../../native/libc.js';
import type { KvmImage } from '../../port/kvm.js';
import type { MemoryMapping } from '../../port/vm.js';
import { check } from '../errors.js';
import type { Machine } from './holder.js';
import { loadImage, mapMemory, placeMemory } from './memory.js';
import { KVM_CALL, openKvm, refuseOtherProcessors, Undo } from './system.js';
import { Vcpu } from './vcpu.js';

const EINTR = errnoOf('EINTR', 'linux');
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
/** Three pages where no memory and no device is, for Intel's processors. */
const TSS_ADDRESS = 0xfffbd000;
/** Leaves of CPUID that we have room for; kernels know fewer than a hundred. */
const MAX_CPUID_ENTRIES = 256;

export class KvmVm implements Machine {
  readonly vcpus: readonly Vcpu[];
  readonly memoryMap: readonly MemoryMapping[];
  readonly #memory: GuestMemory;
  readonly #undo: Undo;

  private constructor(vcpus: Vcpu[], memory: GuestMemory, map: MemoryMapping[], undo: Undo) {
    this.vcpus = vcpus;
    this.memoryMap = map;
    this.#memory = memory;
    this.#undo = undo;
  }

  /**
   * Makes a VM, or nothing. `memory` is bytes, a multiple of the page size.
   * @throws SystemError ENXIO without /dev/kvm; EACCES, ENOMEM; EINVAL for more CPUs than KVM gives; EOPNOTSUPP for a KVM
   * that lacks what we need, and on other processors.
   */
  static async create(libc: Libc, cpus: number, memory: number): Promise<KvmVm> {
    refuseOtherProcessors();
    const undo = new Undo();
    const node = openKvm(libc);
    try {
      const vm = createVm(libc, node);
      undo.add(() => libc.close(vm));
      const mapped = await mapMemory(memory);
      undo.add(() => mapped.unmap());
      const map = placeMemory(libc, vm, mapped);
      check(libc.ioctl(vm, KVM_SET_TSS_ADDR, TSS_ADDRESS), KVM_CALL);
      const vcpus = makeVcpus(libc, { node, vm, count: cpus, undo });
      return new KvmVm(vcpus, mapped, map, undo);
    } catch (error) {
      undo.all();
      throw error;
    } finally {
      // The VM lives on without it.
      libc.close(node);
    }
  }

  load(image: KvmImage): void {
    loadImage(this.#memory, this.memoryMap, image);
  }

  close(): void {
    this.#undo.all();
  }
}

/** A signal of any kind can come in between, which is no reason to give up. */
function createVm(libc: Libc, node: number): number {
  for (;;) {
    const vm = libc.ioctl(node, KVM_CREATE_VM, 0);
    if (vm !== -EINTR) return check(vm, KVM_CALL);
  }
}

interface Making {
  node: number;
  vm: number;
  count: number;
  undo: Undo;
}

function makeVcpus(libc: Libc, { node, vm, count, undo }: Making): Vcpu[] {
  const size = check(libc.ioctl(node, KVM_GET_VCPU_MMAP_SIZE, 0), KVM_CALL);
  const cpuid = supportedCpuid(libc, node);
  const vcpus: Vcpu[] = [];
  for (let number = 0; number < count; number++) {
    const message = `KVM gives the VM no vCPU ${number}`;
    const fd = check(libc.ioctl(vm, KVM_CREATE_VCPU, number), { ...KVM_CALL, message });
    undo.add(() => libc.close(fd));
    const mapping = libc.map(fd, {
      length: size,
      protection: PROT_READ_WRITE,
      flags: MAP_SHARED,
      offset: 0,
    });
    if (typeof mapping === 'number') throw new SystemError('ENOMEM', { syscall: 'mmap', message });
    undo.add(() => mapping.unmap());
    check(libc.ioctl(fd, KVM_SET_CPUID2, cpuid), KVM_CALL);
    vcpus.push(new Vcpu(libc, fd, mapping.memory));
  }
  return vcpus;
}

/** What this machine's processor and KVM can do, as it is given to a vCPU: struct kvm_cpuid2 with its entries. */
function supportedCpuid(libc: Libc, node: number): Uint8Array {
  const cpuid = new Uint8Array(kvm_cpuid2.size + MAX_CPUID_ENTRIES * KVM_CPUID_ENTRY_SIZE);
  cpuid.set(kvm_cpuid2.encode({ nent: MAX_CPUID_ENTRIES }));
  check(libc.ioctl(node, KVM_GET_SUPPORTED_CPUID, cpuid), KVM_CALL);
  return cpuid;
}
