/**
 * What an ioctl of /dev/vmm/NAME has to have before its handler runs: the VM's memory segments, for itself or shared, and
 * vCPUs that are idle. Only calls that wait for a vCPU hold anything back, since all others are over at once; and only a
 * VM_RUN that waits for other vCPUs of a suspended VM keeps its vCPU from becoming idle.
 */
import { SystemError } from '../../abi/errno.js';
import { type IoctlReply, PendingIoctl } from '../node.js';
import type { Vcpu } from './vcpu.js';

export interface Need {
  readonly memsegs: 'none' | 'shared' | 'exclusive';
  /** Those that have to be idle, as they are now. */
  readonly vcpus: () => readonly Vcpu[];
}

interface Waiter {
  readonly need: Need;
  readonly begin: () => IoctlReply | PendingIoctl;
  readonly pending: PendingIoctl;
  /** What the call does since it began, when that waits in turn. */
  inner: PendingIoctl | undefined;
}

export class VmLocks {
  readonly #requestIdle: (vcpu: Vcpu) => void;
  #waiters: Waiter[] = [];

  /** @param requestIdle makes a vCPU leave the kernel, where it can. */
  constructor(requestIdle: (vcpu: Vcpu) => void) {
    this.#requestIdle = requestIdle;
  }

  /** Runs a call when it has what it needs, now if it can. A signal ends one that waits with EINTR. */
  enter(need: Need, begin: () => IoctlReply | PendingIoctl): IoctlReply | PendingIoctl {
    if (this.#has(need, this.#waiters)) return begin();
    const pending = new PendingIoctl(() => {
      if (waiter.inner !== undefined) waiter.inner.interrupt();
      else this.#end(waiter, new SystemError('EINTR', { syscall: 'ioctl' }));
    });
    const waiter: Waiter = { need, begin, pending, inner: undefined };
    this.#waiters.push(waiter);
    return pending;
  }

  /** Lets those run that have now what they need. Call after whatever may have made a vCPU idle. */
  retry(): void {
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      this.#waiters = this.#waiters.filter((waiter) => waiter !== next);
      this.#run(next);
    }
  }

  /** The VM is gone: those that wait end with an error. */
  abandon(error: SystemError): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { pending } of waiters) pending.finish(error);
  }

  #next(): Waiter | undefined {
    return this.#waiters.find((waiter, i) => this.#has(waiter.need, this.#waiters.slice(0, i)));
  }

  #has({ memsegs, vcpus }: Need, before: readonly Waiter[]): boolean {
    const taken = before.some((other) => {
      const held = other.need.memsegs;
      return memsegs === 'exclusive'
        ? held !== 'none'
        : memsegs === 'shared' && held === 'exclusive';
    });
    if (taken) return false;
    const needed = vcpus();
    for (const vcpu of needed) this.#requestIdle(vcpu);
    return needed.every(({ run }) => run === undefined);
  }

  #run(waiter: Waiter): void {
    try {
      const begun = waiter.begin();
      if (begun instanceof PendingIoctl) {
        waiter.inner = begun;
        begun.onFinish((outcome) => waiter.pending.finish(outcome));
      } else {
        waiter.pending.finish(begun);
      }
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      waiter.pending.finish(error);
    }
  }

  #end(waiter: Waiter, error: SystemError): void {
    this.#waiters = this.#waiters.filter((other) => other !== waiter);
    waiter.pending.finish(error);
    this.retry();
  }
}
