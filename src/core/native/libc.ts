/**
 * The C library's calls, one function each. As in the kernel, a result below zero is an error's number, negated:
 * errno is read at once after the call that failed, and never kept. No call waits: descriptors that could make
 * one wait are to be opened with O_NONBLOCK, and blocking.ts has the calls that wait by their nature.
 */
import { type Koffi, loadKoffi } from './koffi.js';

/** Memory that a mapping shares with a node, a file or other processes. */
export interface Mapping {
  readonly address: bigint;
  /** Views the memory itself; not to be used after `unmap`. */
  readonly memory: ArrayBuffer;
  /** 0, or a negated errno. */
  unmap(): number;
}

export interface MapOptions {
  /** Bytes. */
  length: number;
  /** PROT_* of mmap(2). */
  protection: number;
  /** MAP_* of mmap(2). */
  flags: number;
  /** Bytes, a multiple of the page size. */
  offset: number;
}

/** An argument of ioctl(2): memory, or a plain integer or address. */
export type IoctlArgument = Uint8Array | number | bigint;

export interface Libc {
  open(path: string, flags: number, mode: number): number;
  close(fd: number): number;
  ioctl(fd: number, request: number, argument: IoctlArgument): number;
  /** Number of bytes read; 0 is the end. */
  read(fd: number, into: Uint8Array): number;
  /** Number of bytes written. */
  write(fd: number, bytes: Uint8Array): number;
  map(fd: number, options: MapOptions): Mapping | number;
  /** `argument` is an integer, as for F_SETFL and F_ADD_SEALS. */
  fcntl(fd: number, command: number, argument: number): number;
  /** A new file that is memory. Linux. */
  memfdCreate(name: string, flags: number): number;
  ftruncate(fd: number, length: number): number;
  /** Linux. */
  eventfd(initial: number, flags: number): number;
  /** Where bytes stand in memory; 0 for none. They stay there for as long as somebody holds them. */
  address(bytes: Uint8Array): bigint;

  socket(family: number, type: number, protocol: number): number;
  bind(fd: number, address: Uint8Array): number;
  listen(fd: number, backlog: number): number;
  /** The new descriptor. */
  accept(fd: number, flags: number): number;
  connect(fd: number, address: Uint8Array): number;
  /** `how` is SHUT_RD 0, SHUT_WR 1 or SHUT_RDWR 2. */
  shutdown(fd: number, how: number): number;
  send(fd: number, bytes: Uint8Array, flags: number): number;
  recv(fd: number, into: Uint8Array, flags: number): number;
  /** Also fills `from` with the sender's address. */
  recvfrom(fd: number, into: Uint8Array, flags: number, from: Uint8Array): number;
  getsockopt(fd: number, level: number, option: number, into: Uint8Array): number;
  setsockopt(fd: number, level: number, option: number, value: Uint8Array): number;
  /** Fills in the socket's own address. */
  getsockname(fd: number, into: Uint8Array): number;
  getpeername(fd: number, into: Uint8Array): number;

  /** A system call of Linux that has no function of its own here; arguments are integers. */
  syscall(number: number, ...words: [number, number, number]): number;
  /** Size of an extended attribute's value, which is put into `into`. Linux. */
  getxattr(path: string, name: string, into: Uint8Array): number;
  /** FreeBSD. `into` and `value` may be empty; the size of what was read, in bytes. */
  sysctl(name: string, into: Uint8Array, value: Uint8Array): number;

  epollCreate(flags: number): number;
  epollCtl(epfd: number, operation: number, fd: number, event: Uint8Array): number;
  /** Number of events put into `events`; never waits. */
  epollWait(epfd: number, events: Uint8Array, maximum: number): number;
}

let loaded: Promise<Libc> | undefined;

/** @throws NativeMissingError */
export function loadLibc(): Promise<Libc> {
  loaded ??= loadKoffi().then(bindLibc);
  return loaded;
}

const MAP_FAILED = 2n ** 64n - 1n;

function bindLibc(koffi: Koffi): Libc {
  const library = koffi.load(null);
  // Functions are looked up at their first call: not every system has all.
  const bind = (prototype: string): ((...values: unknown[]) => number) => {
    let found: ReturnType<typeof library.func> | undefined;
    return (...values) => {
      found ??= library.func(prototype);
      const result = Number(found(...values));
      return result === -1 ? -koffi.errno() : result;
    };
  };

  const ioctlMemory = bind('int ioctl(int fd, ulong request, void *argument)');
  const ioctlNumber = bind('int ioctl(int fd, ulong request, uintptr_t argument)');
  const read = bind('intptr_t read(int fd, void *into, size_t length)');
  const write = bind('intptr_t write(int fd, const void *bytes, size_t length)');
  const bindSocket = bind('int bind(int fd, const void *address, uint32_t length)');
  const connect = bind('int connect(int fd, const void *address, uint32_t length)');
  const send = bind('intptr_t send(int fd, const void *bytes, size_t length, int flags)');
  const recv = bind('intptr_t recv(int fd, void *into, size_t length, int flags)');
  const recvfrom = bind(
    'intptr_t recvfrom(int fd, void *into, size_t length, int flags, void *from, _Inout_ uint32_t *size)',
  );
  const getsockopt = bind(
    'int getsockopt(int fd, int level, int option, void *into, _Inout_ uint32_t *size)',
  );
  const setsockopt = bind(
    'int setsockopt(int fd, int level, int option, const void *value, uint32_t size)',
  );
  const getsockname = bind('int getsockname(int fd, void *into, _Inout_ uint32_t *size)');
  const getpeername = bind('int getpeername(int fd, void *into, _Inout_ uint32_t *size)');
  const getxattr = bind(
    'intptr_t getxattr(const char *path, const char *name, void *into, size_t size)',
  );
  const sysctlbyname = bind(
    'int sysctlbyname(const char *name, void *old, _Inout_ size_t *size, const void *value, size_t length)',
  );
  const accept4 = bind('int accept4(int fd, void *address, void *size, int flags)');
  const epollWait = bind('int epoll_wait(int epfd, void *events, int maximum, int timeout)');

  return {
    open: bind('int open(const char *path, int flags, int mode)'),
    close: bind('int close(int fd)'),
    ioctl: (fd, request, argument) =>
      typeof argument === 'object'
        ? ioctlMemory(fd, request, argument)
        : ioctlNumber(fd, request, argument),
    read: (fd, into) => read(fd, into, into.length),
    write: (fd, bytes) => write(fd, bytes, bytes.length),
    map: (fd, options) => map(koffi, fd, options),
    fcntl: bind('int fcntl(int fd, int command, long argument)'),
    memfdCreate: bind('int memfd_create(const char *name, uint flags)'),
    ftruncate: bind('int ftruncate(int fd, int64_t length)'),
    eventfd: bind('int eventfd(uint initial, int flags)'),
    address: (bytes) => (bytes.length === 0 ? 0n : BigInt(koffi.address(bytes))),

    socket: bind('int socket(int family, int type, int protocol)'),
    bind: (fd, address) => bindSocket(fd, address, address.length),
    listen: bind('int listen(int fd, int backlog)'),
    accept: (fd, flags) => accept4(fd, null, null, flags),
    connect: (fd, address) => connect(fd, address, address.length),
    shutdown: bind('int shutdown(int fd, int how)'),
    send: (fd, bytes, flags) => send(fd, bytes, bytes.length, flags),
    recv: (fd, into, flags) => recv(fd, into, into.length, flags),
    recvfrom: (fd, into, flags, from) =>
      recvfrom(fd, into, into.length, flags, from, [from.length]),
    getsockopt: (fd, level, option, into) => getsockopt(fd, level, option, into, [into.length]),
    setsockopt: (fd, level, option, value) => setsockopt(fd, level, option, value, value.length),
    getsockname: (fd, into) => getsockname(fd, into, [into.length]),
    getpeername: (fd, into) => getpeername(fd, into, [into.length]),

    syscall: bind('long syscall(long number, long first, long second, long third)'),
    getxattr: (path, name, into) => getxattr(path, name, into, into.length),
    sysctl(name, into, value) {
      const size = [into.length];
      const old = into.length > 0 ? into : null;
      const result = sysctlbyname(name, old, size, value.length > 0 ? value : null, value.length);
      return result < 0 ? result : (size[0] ?? 0);
    },

    epollCreate: bind('int epoll_create1(int flags)'),
    epollCtl: bind('int epoll_ctl(int epfd, int operation, int fd, void *event)'),
    epollWait: (epfd, events, maximum) => epollWait(epfd, events, maximum, 0),
  };
}

function map(koffi: Koffi, fd: number, options: MapOptions): Mapping | number {
  const library = koffi.load(null);
  const mmap = library.func(
    'uintptr_t mmap(uintptr_t address, size_t length, int protection, int flags, int fd, int64_t offset)',
  );
  const munmap = library.func('int munmap(uintptr_t address, size_t length)');
  const { length, protection, flags, offset } = options;
  const address = BigInt(mmap(0, length, protection, flags, fd, offset));
  if (address === MAP_FAILED) return -koffi.errno();
  return {
    address,
    memory: koffi.view(address, length),
    unmap: () => (Number(munmap(address, length)) === -1 ? -koffi.errno() : 0),
  };
}
