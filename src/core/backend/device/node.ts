/** A device node of this machine. */
import { type ErrorDetails, SystemError } from '../../abi/errno.js';
import { blockingIoctl } from '../../native/blocking.js';
import type { Libc } from '../../native/libc.js';
import type { DeviceNode, IoctlOptions, IoctlResult, OpenOptions } from '../port.js';
import { check } from './errors.js';

/** Linux and FreeBSD have these three in common, and differ in the fourth. */
const ACCESS = { r: 0, w: 1, rw: 2 } as const;
const O_CLOEXEC = process.platform === 'linux' ? 0o2000000 : 0x100000;

export type Trace = ((line: string) => void) | undefined;

/** @throws SystemError ENOENT, EACCES, ENXIO, EBUSY, ... as the node says. */
export function openNode(
  libc: Libc,
  path: string,
  { access = 'rw' }: OpenOptions,
  trace: Trace,
): DeviceNode {
  const fd = libc.open(path, ACCESS[access] | O_CLOEXEC, 0);
  trace?.(`open ${path} ${access} = ${fd}`);
  return new SystemNode(libc, path, check(fd, { syscall: 'open', path }), trace);
}

class SystemNode implements DeviceNode {
  readonly path: string;
  readonly #libc: Libc;
  readonly #trace: Trace;
  #fd: number;

  constructor(libc: Libc, path: string, fd: number, trace: Trace) {
    this.#libc = libc;
    this.path = path;
    this.#fd = fd;
    this.#trace = trace;
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
    const data = typeof argument === 'number' ? argument : argument.slice();
    const result = options.blocks
      ? await blockingIoctl(fd, request, data, options)
      : this.#libc.ioctl(fd, request, data);
    this.#trace?.(`ioctl ${this.path} 0x${request.toString(16)} = ${result}`);
    check(result, details);
    return { result, data: typeof data === 'number' ? new Uint8Array(0) : data };
  }

  async close(): Promise<void> {
    const fd = this.#open({ syscall: 'close', path: this.path });
    this.#fd = -1;
    this.#trace?.(`close ${this.path}`);
    check(this.#libc.close(fd), { syscall: 'close', path: this.path });
  }

  #open(details: ErrorDetails): number {
    if (this.#fd < 0) throw new SystemError('EBADF', details);
    return this.#fd;
  }
}
