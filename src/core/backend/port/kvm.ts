/** VMs of KVM. */
import type { CallOptions } from './node.js';
import type { VmDetails, VmRecord } from './vm.js';

/** What real mode reaches, bytes. */
export const REAL_MODE_SIZE = 0x100000;

export interface KvmRequest {
  name: string;
  cpus: number;
  /** Bytes. */
  memory: number;
  labels: Readonly<Record<string, string>>;
  /** It lives as long as the backend that made it. */
  ephemeral: boolean;
}

export interface KvmCreated {
  vm: VmRecord;
  /** Ends it, when it is ephemeral; nothing happens when it has ended already. */
  end?(): Promise<void>;
}

/** Where a flat image of real mode stands in a VM's memory, and where vCPU 0 begins. */
export interface KvmImage {
  bytes: Uint8Array;
  /** Guest physical address. */
  at: number;
}

/** An exit of a vCPU of KVM. */
export interface KvmExit {
  /** The header's number, KVM_EXIT_*. */
  reason: number;
  /** struct kvm_run as the exit left it, from its beginning to the end of the union of the exits. */
  run: Uint8Array;
  /** Bytes that the guest writes by an IO exit; empty for all others. */
  data: Uint8Array;
  rip: bigint;
}

export interface KvmRunOptions {
  vcpu: number;
  /** Resets the vCPU before, and lets it begin there; it goes on where it was when left out. */
  image?: KvmImage | undefined;
  /**
   * What the guest reads by an exit, IO or MMIO; it is asked for when the next exit is. Zeros when left out, and for what is
   * missing.
   */
  answer?: ((exit: KvmExit) => Uint8Array | undefined) | undefined;
  signal: AbortSignal;
}

/**
 * VMs of KVM. Each has a process that holds it, since a vCPU can't be shared between processes, and ends with that: a
 * persistent one when it is destroyed or the machine is switched off, an ephemeral one also with the process of the backend,
 * however that ends.
 */
export interface KvmHosts {
  /**
   * Whether this machine has KVM, or VMs of it are there. False without /dev/kvm.
   * @throws SystemError EACCES, EPERM when it may not be used.
   */
  isThere(): Promise<boolean>;
  /** EEXIST, ENOMEM, EACCES, EINVAL (more CPUs than KVM gives), ENXIO (no /dev/kvm), EOPNOTSUPP (not on this machine). */
  create(request: KvmRequest, options?: CallOptions): Promise<KvmCreated>;
  /** Of the same user. */
  vms(): Promise<VmRecord[]>;
  /** ENOENT. */
  inspect(name: string): Promise<VmDetails>;
  /** Ends its process, when it runs too. ENOENT. */
  destroy(name: string): Promise<void>;
  /**
   * Runs a vCPU; each yield is an exit. It goes on when the next one is asked for, and stops when the caller returns, or the
   * signal aborts (EINTR). ENOENT, EBUSY (it runs already), EINVAL (no such vCPU; an image that is outside of the memory or
   * too long, or begins where real mode can't).
   */
  run(name: string, options: KvmRunOptions): AsyncIterable<KvmExit>;
}
