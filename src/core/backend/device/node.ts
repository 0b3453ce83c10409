/** A device node of this machine. */
import { type ErrorDetails, SystemError } from '../../abi/errno.js';
import { u64 } from '../../abi/layout.js';
import { blockingIoctl } from '../../native/blocking.js';
import type { Libc } from '../../native/libc.js';
import { EPOLLERR, EPOLLHUP, EPOLLIN, type Reactor } from '../../native/reactor.js';
import type {
  CallOptions,
  DeviceNode,
  IoctlOptions,
  IoctlResult,
  OpenOptions,
  Pointer,
} from '../port/node.js';
import { check, systemError } from './errors.js';

/** Linux and FreeBSD have these three in common, and differ in the fourth. */
const ACCESS = { r: 0, w: 1, rw: 2 } as const;
const O_CLOEXEC = process.platform === 'linux' ? 0o2000000 : 0x100000;

const READABLE = EPOLLIN | EPOLLERR | EPOLLHUP;

export type Trace = ((line: string) => void) | undefined;

/** What nodes of this machine need of it. */
export interface NodeSystem {
  readonly libc: Libc;
  /** @throws SystemError where descriptors can't be waited for. */
  reactor(): Promise<Reactor>;
  readonly trace: Trace;
}

/** @throws SystemError ENOENT, EACCES, ENXIO, EBUSY, ... as the node says. */
export function openNode(
  system: NodeSystem,
  path: string,
  { access = 'rw' }: OpenOptions,
): DeviceNode {
  const { libc, trace } = system;
  const fd = libc.open(path, ACCESS[access] | O_CLOEXEC, 0);
  trace?.(`open ${path} ${access} = ${fd}`);
  return new SystemNode(system, path, check(fd, { syscall: 'open', path }));
}

class SystemNode implements DeviceNode {
  readonly path: string;
  readonly #libc: Libc;
  readonly #trace: Trace;
  /** Memory that the kernel has addresses of must not be collected. */
  readonly #inUse = new Set<readonly Pointer[]>();
  readonly #system: NodeSystem;
  #fd: number;
  /** Ends a poll that waits. */
  #endPoll: (() => void) | undefined;

  constructor(system: NodeSystem, path: string, fd: number) {
    this.#system = system;
    this.#libc = system.libc;
    this.path = path;
    this.#fd = fd;
    this.#trace = system.trace;
  }

  async ioctl(
    request: number,
    argument: Uint8Array | number = 0,
    options: IoctlOptions = {},
  ): Promise<IoctlResult> {
    const details: ErrorDetails = { syscall: 'ioctl', path: this.path };
    if (options.signal?.aborted) throw new SystemError('EINTR', details);
    const fd = this.#open(details);
    // The caller's bytes stay as they are; what the call writes is in the answer.
    const { pointers = [] } = options;
    const data = typeof argument === 'number' ? argument : this.#withAddresses(argument, pointers);
    this.#inUse.add(pointers);
    const result = await this.#call(fd, request, data, options).finally(() => {
      this.#inUse.delete(pointers);
    });
    this.#trace?.(`ioctl ${this.path} 0x${request.toString(16)} = ${result}`);
    check(result, details);
    return { result, data: typeof data === 'number' ? new Uint8Array(0) : data };
  }

  async poll({ signal }: CallOptions = {}): Promise<void> {
    const details: ErrorDetails = { syscall: 'poll', path: this.path };
    const reactor = await this.#system.reactor();
    if (signal?.aborted) throw new SystemError('EINTR', details);
    if (this.#endPoll !== undefined) throw new SystemError('EBUSY', details);
    const fd = this.#open(details);
    await new Promise<void>((resolve, reject) => {
      const end = () => {
        signal?.removeEventListener('abort', end);
        this.#endPoll = undefined;
        reactor.remove(fd);
        resolve();
      };
      // What holds already is told at once.
      const result = reactor.add(fd, (events) => {
        if ((events & READABLE) !== 0) end();
      });
      if (result < 0) return reject(systemError(-result, details));
      this.#endPoll = end;
      signal?.addEventListener('abort', end);
    });
    this.#open(details);
    if (signal?.aborted) throw new SystemError('EINTR', details);
    this.#trace?.(`poll ${this.path}`);
  }

  async close(): Promise<void> {
    const fd = this.#open({ syscall: 'close', path: this.path });
    this.#fd = -1;
    this.#endPoll?.();
    this.#trace?.(`close ${this.path}`);
    check(this.#libc.close(fd), { syscall: 'close', path: this.path });
  }

  async #call(
    fd: number,
    request: number,
    data: Uint8Array | number,
    options: IoctlOptions,
  ): Promise<number> {
    return options.blocks
      ? blockingIoctl(fd, request, data, options)
      : this.#libc.ioctl(fd, request, data);
  }

  /** A copy of the argument that has the addresses of what it points to. */
  #withAddresses(argument: Uint8Array, pointers: readonly Pointer[]): Uint8Array {
    const data = argument.slice();
    const view = new DataView(data.buffer);
    for (const { at, to } of pointers) u64.write(view, at, this.#libc.address(to));
    return data;
  }

  #open(details: ErrorDetails): number {
    if (this.#fd < 0) throw new SystemError('EBADF', details);
    return this.#fd;
  }
}
