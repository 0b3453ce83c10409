/** AF_VSOCK sockets of this machine's kernel, by plain system calls that do not wait. */
import { fromBytes, i32, toBytes, u64 } from '../../../src/core/abi/layout.js';
import { POLLIN } from '../../../src/core/abi/poll.js';
import {
  AF_VSOCK,
  SO_VM_SOCKETS_BUFFER_SIZE,
  sockaddr_vm,
} from '../../../src/core/abi/vm-sockets.js';
import { loadKoffi } from '../../../src/core/native/koffi.js';
import { type Libc, loadLibc } from '../../../src/core/native/libc.js';
import type { CallResult, KernelSocket } from '../../helpers/vmci-vsock-transcript.js';

const TYPES = { stream: 1, dgram: 2 } as const;
const SOCK_NONBLOCK = 0o4000;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const SHUT_WR = 1;
/** How long a connection or datagram may take that has to come, milliseconds. */
const PATIENCE_MS = 20_000;
const POLLFD = 8;

interface Calls {
  libc: Libc;
  /** Bytes, or a negated errno. */
  sendTo(fd: number, data: Uint8Array, address: Uint8Array): number;
  /** The mask of what holds. */
  poll(fd: number, events: number, timeoutMs: number): number;
}

export async function kernelSockets(): Promise<(type: 'stream' | 'dgram') => KernelSocket> {
  const [koffi, libc] = [await loadKoffi(), await loadLibc()];
  const library = koffi.load(null);
  const sendto = library.func(
    'intptr_t sendto(int fd, const void *data, size_t size, int flags, const void *to, uint32_t length)',
  );
  const poll = library.func('int poll(_Inout_ uint8_t *fds, ulong count, int timeout)');
  const calls: Calls = {
    libc,
    sendTo: (fd, data, address) => {
      const sent = Number(sendto(fd, data, data.length, 0, address, address.length));
      return sent < 0 ? -koffi.errno() : sent;
    },
    poll: (fd, events, timeoutMs) => {
      const request = new Uint8Array(POLLFD);
      const view = new DataView(request.buffer);
      view.setInt32(0, fd, true);
      view.setInt16(4, events, true);
      poll(request, 1, timeoutMs);
      return view.getInt16(6, true);
    },
  };
  return (type) => {
    const fd = libc.socket(AF_VSOCK, TYPES[type] | SOCK_NONBLOCK, 0);
    if (fd < 0) throw new Error(`socket: errno ${-fd}`);
    return new Socket(calls, fd);
  };
}

interface Address {
  cid: number;
  port: number;
}

class Socket implements KernelSocket {
  readonly #calls: Calls;
  readonly #fd: number;

  constructor(calls: Calls, fd: number) {
    this.#calls = calls;
    this.#fd = fd;
  }

  async bind(address: Address): Promise<CallResult> {
    return outcome(this.#calls.libc.bind(this.#fd, encode(address)));
  }

  async listen(backlog: number): Promise<CallResult> {
    return outcome(this.#calls.libc.listen(this.#fd, backlog));
  }

  async accept() {
    const { libc, poll } = this.#calls;
    poll(this.#fd, POLLIN, PATIENCE_MS);
    const fd = libc.accept(this.#fd, SOCK_NONBLOCK);
    if (fd < 0) throw new Error(`accept: errno ${-fd}`);
    const peer = new Uint8Array(sockaddr_vm.size);
    libc.getpeername(fd, peer);
    return { socket: new Socket(this.#calls, fd), peer: decode(peer) };
  }

  async connect(address: Address): Promise<CallResult> {
    return outcome(this.#calls.libc.connect(this.#fd, encode(address)));
  }

  async setBufferSize(bytes: number): Promise<void> {
    const value = toBytes(u64, BigInt(bytes));
    this.#calls.libc.setsockopt(this.#fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, value);
  }

  async send(data: Uint8Array): Promise<CallResult> {
    const MSG_NOSIGNAL = 0x4000;
    return outcome(this.#calls.libc.send(this.#fd, data, MSG_NOSIGNAL));
  }

  async sendTo(address: Address, data: Uint8Array): Promise<CallResult> {
    return outcome(this.#calls.sendTo(this.#fd, data, encode(address)));
  }

  async recv(max: number) {
    const into = new Uint8Array(max);
    const result = this.#calls.libc.recv(this.#fd, into, 0);
    return { ...outcome(result), data: into.subarray(0, Math.max(0, result)) };
  }

  async recvFrom() {
    this.#calls.poll(this.#fd, POLLIN, PATIENCE_MS);
    const from = new Uint8Array(sockaddr_vm.size);
    const into = new Uint8Array(70_000);
    const result = this.#calls.libc.recvfrom(this.#fd, into, 0, from);
    if (result < 0) throw new Error(`recvfrom: errno ${-result}`);
    return { data: into.subarray(0, result), from: decode(from) };
  }

  async endWriting(): Promise<CallResult> {
    return outcome(this.#calls.libc.shutdown(this.#fd, SHUT_WR));
  }

  async poll(events: number): Promise<number> {
    return this.#calls.poll(this.#fd, events, 0);
  }

  async error(): Promise<number> {
    const value = new Uint8Array(i32.size);
    this.#calls.libc.getsockopt(this.#fd, SOL_SOCKET, SO_ERROR, value);
    return fromBytes(i32, value);
  }

  async close(): Promise<void> {
    this.#calls.libc.close(this.#fd);
  }
}

function outcome(result: number): CallResult {
  return result < 0 ? { value: -1, errno: -result } : { value: result, errno: 0 };
}

function encode({ cid, port }: Address): Uint8Array {
  return sockaddr_vm.encode({ svm_family: AF_VSOCK, svm_cid: cid, svm_port: port });
}

function decode(address: Uint8Array): Address {
  const { svm_cid, svm_port } = sockaddr_vm.decode(address);
  return { cid: svm_cid, port: svm_port };
}
