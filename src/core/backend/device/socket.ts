/** AF_VSOCK sockets of the kernel, as the port has them. Linux; never blocks a thread. */
import { errnoOf, SystemError } from '../../abi/errno.js';
import { fromBytes, i32, toBytes, u64 } from '../../abi/layout.js';
import { SO_ERROR, SOCK_CLOEXEC, SOCK_NONBLOCK, SOL_SOCKET } from '../../abi/linux-socket.js';
import {
  AF_VSOCK,
  SO_VM_SOCKETS_BUFFER_MAX_SIZE,
  SO_VM_SOCKETS_BUFFER_MIN_SIZE,
  SO_VM_SOCKETS_BUFFER_SIZE,
  SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW,
  sockaddr_vm,
  timeval64,
} from '../../abi/vm-sockets.js';
import type { CallOptions } from '../port/node.js';
import type {
  SocketOption,
  SocketType,
  VsockAddress,
  VsockSocket,
  VsockStream,
} from '../port/vsock.js';
import { decodeAddress, encodeAddress, SOCK_TYPES } from './address.js';
import { Descriptor, type SocketSystem } from './descriptor.js';
import { check } from './errors.js';
import { SocketStream } from './stream.js';

const EAFNOSUPPORT = errnoOf('EAFNOSUPPORT', 'linux');
const EAGAIN = errnoOf('EAGAIN', 'linux');
const EINPROGRESS = errnoOf('EINPROGRESS', 'linux');
const ENOTCONN = errnoOf('ENOTCONN', 'linux');

/** More than any transport carries, bytes: VMCI's limit is 17 pages. */
const LONGEST_DATAGRAM = 1 << 17;

const SIZES = {
  SO_VM_SOCKETS_BUFFER_SIZE,
  SO_VM_SOCKETS_BUFFER_MIN_SIZE,
  SO_VM_SOCKETS_BUFFER_MAX_SIZE,
} as const;

export class DeviceSocket implements VsockSocket {
  readonly type: SocketType;
  readonly #system: SocketSystem;
  readonly #descriptor: Descriptor;
  #stream: SocketStream | undefined;

  private constructor(system: SocketSystem, type: SocketType, fd: number) {
    this.#system = system;
    this.type = type;
    this.#descriptor = new Descriptor(system, fd);
  }

  /**
   * @throws SystemError EAFNOSUPPORT without the kernel's module; ENODEV, ESOCKTNOSUPPORT for a type that no transport
   *   has.
   */
  static create(system: SocketSystem, type: SocketType): DeviceSocket {
    const flags = SOCK_TYPES[type] | SOCK_NONBLOCK | SOCK_CLOEXEC;
    const fd = system.libc.socket(AF_VSOCK, flags, 0);
    if (fd === -EAFNOSUPPORT) {
      throw new SystemError('EAFNOSUPPORT', {
        syscall: 'socket',
        message: 'the kernel has no vsock sockets',
        hint: "load them with 'modprobe vsock'; 'vmmctl doctor' tells more",
      });
    }
    return new DeviceSocket(system, type, check(fd, { syscall: 'socket' }));
  }

  async bind(address: VsockAddress): Promise<void> {
    const { libc, fd } = this.#descriptor;
    check(libc.bind(fd, encodeAddress(address)), { syscall: 'bind' });
  }

  async listen(backlog: number): Promise<void> {
    const { libc, fd } = this.#descriptor;
    check(libc.listen(fd, backlog), { syscall: 'listen' });
  }

  async accept(options: CallOptions = {}): Promise<VsockSocket> {
    const { libc } = this.#descriptor;
    const accept = (fd: number) => libc.accept(fd, SOCK_NONBLOCK | SOCK_CLOEXEC);
    const fd = await this.#descriptor.retry(accept, [-EAGAIN], { syscall: 'accept' }, options);
    return new DeviceSocket(this.#system, this.type, fd);
  }

  /** The kernel bounds it by SO_VM_SOCKETS_CONNECT_TIMEOUT. */
  async connect(address: VsockAddress, options: CallOptions = {}): Promise<void> {
    const { libc, fd } = this.#descriptor;
    const details = { syscall: 'connect' };
    if (options.signal?.aborted) throw new SystemError('EINTR', details);
    const begun = libc.connect(fd, encodeAddress(address));
    if (begun !== -EINPROGRESS) {
      check(begun, details);
      return;
    }
    const outcome = () => {
      const error = this.#pendingError();
      return error === 0 ? libc.getpeername(fd, new Uint8Array(sockaddr_vm.size)) : -error;
    };
    await this.#descriptor.retry(outcome, [-ENOTCONN], details, options);
  }

  async setOption(option: SocketOption, value: number): Promise<void> {
    const isTimeout = option === 'SO_VM_SOCKETS_CONNECT_TIMEOUT';
    if (!Number.isSafeInteger(value) || (value < 0 && !isTimeout)) {
      throw new SystemError('EINVAL', { syscall: 'setsockopt' });
    }
    if (isTimeout) {
      this.#set(SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW, encodeTimeout(value));
      return;
    }
    this.#set(SIZES[option], toBytes(u64, BigInt(value)));
  }

  async getOption(option: SocketOption): Promise<number> {
    if (option === 'SO_VM_SOCKETS_CONNECT_TIMEOUT') {
      return decodeTimeout(this.#get(SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW, timeval64.size));
    }
    return this.#size(SIZES[option]);
  }

  async localAddress(): Promise<VsockAddress> {
    const { libc, fd } = this.#descriptor;
    const address = new Uint8Array(sockaddr_vm.size);
    check(libc.getsockname(fd, address), { syscall: 'getsockname' });
    return decodeAddress(address);
  }

  async peerAddress(): Promise<VsockAddress> {
    const { libc, fd } = this.#descriptor;
    const address = new Uint8Array(sockaddr_vm.size);
    check(libc.getpeername(fd, address), { syscall: 'getpeername' });
    return decodeAddress(address);
  }

  async stream(): Promise<VsockStream> {
    if (this.#stream !== undefined) throw new SystemError('EBUSY');
    if (this.type !== 'dgram') await this.peerAddress();
    const isDatagram = this.type === 'dgram';
    const longestMessage = isDatagram ? LONGEST_DATAGRAM : this.#size(SO_VM_SOCKETS_BUFFER_SIZE);
    this.#stream = new SocketStream(this.#descriptor, { type: this.type, longestMessage });
    return this.#stream;
  }

  async close(): Promise<void> {
    if (this.#stream === undefined) this.#descriptor.close();
    else this.#stream.closeWhenSent();
  }

  /** SO_ERROR, which reading clears; 0 is none. */
  #pendingError(): number {
    return fromBytes(i32, this.#get(SO_ERROR, i32.size, SOL_SOCKET));
  }

  #set(option: number, value: Uint8Array): void {
    const { libc, fd } = this.#descriptor;
    check(libc.setsockopt(fd, AF_VSOCK, option, value), { syscall: 'setsockopt' });
  }

  #get(option: number, size: number, level = AF_VSOCK): Uint8Array {
    const { libc, fd } = this.#descriptor;
    const value = new Uint8Array(size);
    check(libc.getsockopt(fd, level, option, value), { syscall: 'getsockopt' });
    return value;
  }

  #size(option: number): number {
    return Number(fromBytes(u64, this.#get(option, u64.size)));
  }
}

/** @param ms milliseconds. */
function encodeTimeout(ms: number): Uint8Array {
  const microseconds = Math.round((ms % 1000) * 1000);
  return timeval64.encode({ tv_sec: BigInt(Math.trunc(ms / 1000)), tv_usec: BigInt(microseconds) });
}

function decodeTimeout(bytes: Uint8Array): number {
  const { tv_sec, tv_usec } = timeval64.decode(bytes);
  return Number(tv_sec) * 1000 + Number(tv_usec) / 1000;
}
