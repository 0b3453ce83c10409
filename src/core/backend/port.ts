/**
 * The port: what a backend offers to the clients. A backend is what an operating system is to a driver's
 * user, a tree of device nodes and a socket family as one caller sees them, plus (where the backend has it)
 * the management channel that a hypervisor offers beside its nodes.
 *
 * Every call may throw a SystemError whose `code` is the name of the system's error.
 */
import type { Duplex } from 'node:stream';
import type { QueueEnds, QueueMemory } from '../abi/vmci-queue.js';

/** Whose nodes and sockets: the host's, or those of the guest of a VM. */
export type MachineName = 'host' | { vm: string };

export interface CallOptions {
  /** Aborting is what a signal is to a system call: the call ends with EINTR. */
  signal?: AbortSignal | undefined;
}

export interface Backend {
  /** As the user would write it: `sim`, `sim:NAME`, `device`. */
  readonly uri: string;
  machine(name: MachineName): Machine;
  /** Absent where the backend has no management channel. */
  readonly management?: Management;
  /** VMs of KVM, where the machine has it. */
  readonly kvm?: KvmHosts;
  /** Closes every node and socket that is still open, with the consequences that has. */
  close(): Promise<void>;
}

export interface Machine {
  open(path: string, options?: OpenOptions): Promise<DeviceNode>;
  /** Names in a directory of device nodes. ENOENT, ENOTDIR. */
  readdir(path: string): Promise<string[]>;
  readFile(path: string): Promise<Uint8Array>;
  /** Who may use a node, where the backend can tell. ENOENT, EACCES. */
  stat?(path: string): Promise<NodeStatus>;
  /** Reads a sysctl, or writes it when a value is given. ENOENT for an unknown name. */
  sysctl(name: string, value?: string): Promise<string>;
  /** A new AF_VSOCK socket. ESOCKTNOSUPPORT, ENODEV (datagrams without a transport that has them). */
  socket(type: SocketType): Promise<VsockSocket>;
  /** The machine's own CID, as IOCTL_VM_SOCKETS_GET_LOCAL_CID on /dev/vsock gives it. */
  localCid(): Promise<number>;
  /** Every vsock socket of the machine, where the backend can tell. */
  diag?(): Promise<SocketRecord[]>;
  /**
   * The vsock packets that the machine sends and receives; the host's machine sees those of all its guests, also what
   * these say to themselves. The first yield, which may be empty, comes when the capture has begun. Aborting ends it,
   * after what was captured until then. Who takes too long loses packets, and keeps nobody waiting. ENOENT (VM), EPERM,
   * ENODEV (no such device).
   */
  tap?(options: TapOptions): AsyncIterable<TapBatch>;
  /** VMCI as the machine's kernel has it, where the backend lets its caller be that. ENODEV (a VM without VMCI). */
  vmci?(): Promise<VmciKernel>;
  /**
   * Memory that outlives a call, whole pages, whose address may stand in an ioctl's argument (VMCI's page stores, its
   * notify byte), where the backend has it. ENOMEM.
   */
  memory?(bytes: number): Promise<MappedMemory>;
}

/** Memory outside of the collected heap, which stays where it is until it is released. */
export interface MappedMemory extends QueueMemory {
  /** What an ioctl's argument has for it. */
  readonly address: bigint;
  release(): Promise<void>;
}

export interface VmciHandle {
  /** u32. */
  context: number;
  /** u32. */
  resource: number;
}

export interface VmciDatagram {
  dst: VmciHandle;
  src: VmciHandle;
  payload: Uint8Array;
}

/**
 * The programming interface that a kernel has to VMCI. A result is a code of the header, VMCI_*: negative is an error.
 * What was made ends with the backend.
 */
export interface VmciKernel {
  /** The machine's context: 2 for the host. */
  readonly contextId: number;
  /** A resource of VMCI_INVALID_ID is chosen. `result` is negative, or `handle` is there. */
  createDatagramHandle(resource: number): Promise<{ result: number; handle?: VmciHandle }>;
  /** The next datagram for a handle that was created; in the order in which they came. EINTR. */
  receiveDatagram(handle: VmciHandle, options?: CallOptions): Promise<VmciDatagram>;
  /** Bytes sent, header and payload. */
  sendDatagram(datagram: VmciDatagram): Promise<number>;
  /** A handle that is left out is chosen. */
  createDoorbell(handle?: VmciHandle): Promise<{ result: number; handle?: VmciHandle }>;
  /** Resolves when it has been rung since the last call; rings that come together count as one. EINTR. */
  waitDoorbell(handle: VmciHandle, options?: CallOptions): Promise<void>;
  ringDoorbell(handle: VmciHandle): Promise<number>;
  /**
   * Events of the header, VMCI_EVENT_*, from when it resolves; each as its message, which begins with its number. Ends
   * with the signal.
   */
  events(options: { signal: AbortSignal }): Promise<AsyncIterable<Uint8Array>>;
  /** An end of a queue pair, in memory that both ends map. `result` is negative, or `pair` is there. */
  allocQueuePair(request: {
    handle?: VmciHandle | undefined;
    /** VMCI_INVALID_ID for any. */
    peer: number;
    /** VMCI_QPFLAG_*. */
    flags: number;
    produceSize: number;
    consumeSize: number;
  }): Promise<{ result: number; pair?: VmciQueuePair }>;
  /** The host's: all. A guest's: those that it is an end of, and those to which it may attach. */
  queuePairs(): Promise<VmciQueuePairRecord[]>;
}

export interface VmciQueuePair {
  readonly handle: VmciHandle;
  readonly produceSize: number;
  readonly consumeSize: number;
  /** What this end writes, and what it reads. Undefined before there is memory: the host's end has none without its guest. */
  readonly queues: QueueEnds | undefined;
  /** To be called after each writing and reading: tells the other end to look at the queues, if it waits. */
  wake(): void;
  /** Tells it that nothing more will be written. */
  end(): void;
  /**
   * Resolves when the other end has waked this one since the last call, has come, has gone, or ended; or at once when
   * `unless`, which is asked after this end has said that it waits, gives true. EINTR; ECONNRESET when the host is gone.
   */
  woken(unless: () => boolean, options?: CallOptions): Promise<void>;
  /** What is known of the other end. What one that has gone had written can still be read. */
  readonly peer: 'none' | 'attached' | 'detached';
  /** Resolves when the other end has gone, or the host. Never rejects. */
  readonly left: Promise<void>;
  /** The other end has said that it writes no more. */
  readonly peerEnded: boolean;
  detach(): Promise<void>;
}

export interface VmciQueuePairRecord {
  handle: VmciHandle;
  /** VMCIQPB_*. */
  state: number;
  /** Contexts of its ends; null when that end has left, or has not come. */
  creator: number | null;
  attacher: number | null;
  /** The context that may attach; null for any. */
  peer: number | null;
  flags: number;
  /** Bytes, as the guest names them, or the creator of a local pair. */
  produceSize: number;
  consumeSize: number;
  /** Indexes and bytes of both queues; null while there is no memory to be read, or what is there makes no sense. */
  produce: VmciQueueState | null;
  consume: VmciQueueState | null;
}

export interface VmciQueueState {
  tail: number;
  head: number;
  /** Bytes that can be written. */
  free: number;
  /** Bytes that can be read. */
  ready: number;
}

export interface TapOptions {
  signal: AbortSignal;
  /** Only packets from or to that port. */
  port?: number | undefined;
  /** Frames are cut to so many bytes. */
  snapLength: number;
}

/** A packet as Linux's device vsockmon gives it. */
export interface TappedPacket {
  /** Microseconds since 1970. */
  timeUs: number;
  /** struct af_vsockmon_hdr, the transport's own header, the payload. Not to be used after the next batch. */
  frame: Uint8Array;
  /** Bytes of the frame before it was cut. */
  length: number;
}

export interface TapBatch {
  /** In the order in which they passed. */
  packets: TappedPacket[];
  /** Packets that were lost since the beginning, since they were not fetched in time. */
  lost: number;
}

export interface NodeStatus {
  /** The bits of its access, 0o660. */
  mode: number;
  uid: number;
  gid: number;
  /** It is a device and not a file of another kind. */
  isDevice: boolean;
}

export interface OpenOptions extends CallOptions {
  /** Default `rw`. */
  access?: 'r' | 'w' | 'rw';
}

export interface IoctlOptions extends CallOptions {
  /**
   * The call may wait for something to happen. Only such a call can be ended while it is under way: the system
   * makes it where it keeps nobody else from going on.
   */
  blocks?: boolean | undefined;
  /** Ends a call that waits, as its signal would; milliseconds. */
  timeoutMs?: number | undefined;
  /** Memory whose addresses the argument has. */
  pointers?: readonly Pointer[] | undefined;
}

/** An address of 64 bits in an argument. */
export interface Pointer {
  /** Where in the argument it stands, bytes; what is there is replaced by the address. */
  at: number;
  /** What it points to. The call reads it and may change it; not to be used before the call has ended. */
  to: Uint8Array;
}

export interface IoctlResult {
  /** What the call returned. */
  result: number;
  /** The argument as the call left it; empty when the argument is not a buffer. */
  data: Uint8Array;
}

export interface DeviceNode {
  readonly path: string;
  /** `argument` is the struct's bytes, or a plain integer for ioctls that take one. ENOTTY when unknown. */
  ioctl(
    request: number,
    argument?: Uint8Array | number,
    options?: IoctlOptions,
  ): Promise<IoctlResult>;
  /**
   * Resolves when the node is readable, as poll(2) says it. One call at a time. EINTR, EBUSY; EOPNOTSUPP, EPERM for a node
   * that can't be polled.
   */
  poll?(options?: CallOptions): Promise<void>;
  close(): Promise<void>;
}

export type SocketType = 'stream' | 'seqpacket' | 'dgram';

export interface VsockAddress {
  /** Context id, u32; 0xffffffff is VMADDR_CID_ANY. */
  cid: number;
  /** u32; 0xffffffff is VMADDR_PORT_ANY. */
  port: number;
}

/** Options of level AF_VSOCK; sizes in bytes, time-outs in milliseconds. */
export type SocketOption =
  | 'SO_VM_SOCKETS_BUFFER_SIZE'
  | 'SO_VM_SOCKETS_BUFFER_MIN_SIZE'
  | 'SO_VM_SOCKETS_BUFFER_MAX_SIZE'
  | 'SO_VM_SOCKETS_CONNECT_TIMEOUT';

export interface VsockSocket {
  readonly type: SocketType;
  bind(address: VsockAddress): Promise<void>;
  /** A negative backlog is the largest. */
  listen(backlog: number): Promise<void>;
  /** The next connection of a listener. */
  accept(options?: CallOptions): Promise<VsockSocket>;
  /** When it fails, all that can be done with the socket everywhere is to close it; after EINTR at once, anything. */
  connect(address: VsockAddress, options?: CallOptions): Promise<void>;
  /**
   * EINVAL for what is no whole number and for a negative size, ERANGE for a negative time-out; a time-out of 0 is the
   * default. A system may round a time-out up to its tick.
   */
  setOption(option: SocketOption, value: number): Promise<void>;
  getOption(option: SocketOption): Promise<number>;
  localAddress(): Promise<VsockAddress>;
  /** ENOTCONN without a connection, and when this side has ended its direction. */
  peerAddress(): Promise<VsockAddress>;
  /**
   * Joins the connected socket to a stream. ENOTCONN without a connection, EBUSY when it has been called before. When the
   * stream has ended, the socket can only be closed.
   */
  stream(): Promise<VsockStream>;
  /**
   * Closes it when what was written to its stream is sent; the peer learns at once that nobody reads any more. All other
   * calls, also those that wait, end with EBADF. To close it again does nothing.
   */
  close(): Promise<void>;
}

export interface VsockStream {
  /**
   * Bytes for a stream socket; for the other types one chunk is one message, in both directions.
   * Ending it is shutdown(SHUT_WR); its end is the peer's. An empty chunk says nothing. Destroying it loses what has not
   * been handed on. Its errors only say that it broke; `ended` says why.
   */
  readonly duplex: Duplex;
  /**
   * Reads into the caller's memory, which saves new memory for each piece: how many bytes came, or 0 at the end and when
   * the signal aborts. For stream sockets, where the backend has it; not to be mixed with reading from `duplex`.
   */
  read?(into: Uint8Array, options?: CallOptions): Promise<number>;
  /** Resolves when nothing more is taken (POLLHUP, or a write that failed), before `ended`. Never rejects. */
  readonly hungUp: Promise<void>;
  /**
   * Settles when both directions are over, which only who reads to the end is told; rejects (ECONNRESET, EPIPE, ...) when
   * it did not end well. A message that the socket never takes (EMSGSIZE; ENOMEM on Linux 6.1) ends its direction, and
   * the peer sees a plain end; what is written then is lost.
   */
  readonly ended: Promise<void>;
}

/** One row of a socket list, as vsock_diag or ss(8) would give it. */
export interface SocketRecord {
  type: SocketType;
  state: 'closed' | 'listen' | 'connecting' | 'established' | 'closing';
  local: VsockAddress;
  peer: VsockAddress | null;
  /** Bytes received and not yet read. For a listener: connections that wait. Null where the system doesn't tell. */
  recvQueue: number | null;
  /** Bytes accepted from the program and not yet consumed by the peer. For a listener: the backlog. */
  sendQueue: number | null;
  /** Bytes that may be sent before the peer gives more credit; null where there is no connection. */
  credit: number | null;
  bufAlloc: number | null;
  /** CID of the machine whose socket it is; null where it has none. */
  owner: number | null;
}

export type VsockTransport = 'virtio' | 'vmci';

export type VmState = 'created' | 'running' | 'suspended' | 'destroying';
export type VmLifetime = 'persistent' | 'ephemeral';

/** What `list --json` prints of a VM. What a backend can't know is null. */
export interface VmRecord {
  name: string;
  state: VmState | null;
  /** Why it is suspended: `poweroff`, `reset`, ..., `paused`; null when it is not, or nobody tells. */
  reason: string | null;
  cpus: number | null;
  /** Bytes. */
  memory: number | null;
  cid: number | null;
  lifetime: VmLifetime | null;
  /** ISO 8601, UTC. */
  createdAt: string | null;
  labels: Record<string, string>;
}

/** Where part of a memory segment stands in a guest's memory. */
export interface MemoryMapping {
  /** Guest physical address. */
  address: number;
  /** Bytes. */
  size: number;
  /** Number of the segment. */
  segment: number;
  /** Of a device's memory, such as `bootrom`; null for system memory. */
  device: string | null;
  /** Where in the segment it begins, bytes. */
  offset: number;
  /** What the guest may do there: `rwx`, with `-` for what it may not. */
  access: string;
}

/** How the vCPUs of a VM are arranged; `maxcpus` is the most that it could have. */
export interface VmTopology {
  sockets: number;
  cores: number;
  threads: number;
  maxcpus: number;
}

/** Numbers of vCPUs. */
export interface CpuSets {
  /** Those that may run. */
  active: number[];
  /** Those that have seen that the VM is suspended. */
  suspended: number[];
  /** Those that are paused. */
  debug: number[];
}

/** What `inspect` adds to it. */
export interface VmDetails extends VmRecord {
  /** Null where the hypervisor has none. */
  topology: VmTopology | null;
  /** Null where the hypervisor has none, or does not tell. */
  cpuSets: CpuSets | null;
  /** What carries its vsock. */
  vsockTransport: VsockTransport | null;
  /** In the order of addresses. */
  memoryMap: MemoryMapping[];
  devices: { path: string; description: string }[];
  /** Sockets and nodes for programs that know nothing of vmmctl; its hybrid vsock socket comes first. */
  exports: { kind: string; path: string }[];
  /** Kinds of the faults that it has been given. */
  faults: string[];
  counters: Record<string, number>;
  /** What KVM can do, by the header's names; of its VMs alone. */
  capabilities?: Record<string, number>;
}

/** A guest's own report on itself; sizes are in bytes, shares in percent. Null is what it left out. */
export interface GuestStatistics {
  /** ISO 8601, UTC. */
  reportedAt: string;
  cpuUser: number | null;
  cpuKernel: number | null;
  cpuIdle: number | null;
  threads: number | null;
  processes: number | null;
  memoryLoad: number | null;
  memoryTotal: number | null;
  memoryAvailable: number | null;
  memoryBalloon: number | null;
  memoryCommitted: number | null;
  kernelTotal: number | null;
  systemCache: number | null;
  pageFileSize: number | null;
}

/** The balloon of a VM; sizes in bytes. What the one who looks can't know is null. */
export interface BalloonRecord {
  /** Name of the VM; null for a guest that looks at its own. */
  vm: string | null;
  memory: number | null;
  /** What the host wants the guest to give up. */
  target: number | null;
  /** What it has given up. */
  actual: number | null;
  /** The step of its size. */
  unit: number;
  guestStats: GuestStatistics | null;
}

/** `late` is a beat that is overdue, and `flatlined` one that the host has given up to wait for. */
export type HeartbeatState = 'off' | 'beating' | 'late' | 'flatlined';

export interface HeartbeatRecord {
  vm: string;
  /** The host wants beats, and the guest has agreed. */
  enabled: boolean;
  intervalMs: number;
  timeoutMs: number;
  /** ISO 8601, UTC. */
  lastBeat: string | null;
  beats: number;
  /** How often the guest was silent for the whole time-out. */
  misses: number;
  state: HeartbeatState;
}

export interface HeartbeatChange {
  intervalMs?: number | undefined;
  timeoutMs?: number | undefined;
  enabled?: boolean | undefined;
}

/** A guest property. */
export interface GuestProperty {
  name: string;
  value: string;
  /** When it was set, nanoseconds since 1970, decimal; no two changes of a VM have the same. */
  timestamp: string;
  /** `TRANSIENT`, `RDONLYGUEST`, `RDONLYHOST`, `READONLY`, `TRANSRESET`. */
  flags: string[];
}

export interface GuestPropertyChange extends GuestProperty {
  deleted: boolean;
}

/** Something that a simulated guest or its devices do wrong when told to. */
export interface Fault {
  /** `heartbeat-stop`, ...: FAULTS of the simulator has them all. */
  kind: string;
  /** Of a kind that takes one: milliseconds, or a share from 0 to 1. */
  value?: number | undefined;
  /** Milliseconds; it stays until it is cleared when left out. */
  forMs?: number | undefined;
}

/**
 * How a VM is offered to programs that know nothing of vmmctl: its hybrid vsock socket, which is always there; a socket at
 * which a real kernel's hypervisor finds a virtio device; its guest's device nodes on this machine.
 */
export type ExportKind = 'hybrid-vsock' | 'vhost-user-vsock' | 'vhost-user-balloon' | 'cuse';

export interface ExportRecord {
  kind: ExportKind;
  /** Sockets and nodes by which it is used. */
  paths: string[];
}

export interface HostVersion {
  product: string;
  version: string;
  revision: string;
  features: string[];
}

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

/** What a hypervisor offers beside its nodes. */
export interface Management {
  vms(): Promise<VmRecord[]>;
  /** ENOENT when no such VM is visible. */
  vm(name: string): Promise<VmRecord>;
  inspect(name: string): Promise<VmDetails>;
  /**
   * Sets what no node of the host sets. EINVAL for a reserved CID, EADDRINUSE for one in use.
   * Another transport of vsock than before is a reboot for its connections; EOPNOTSUPP while a real kernel is the guest.
   * `cid: 'auto'` takes the lowest free one from 3. A persistent VM is on disk when this returns, or, while the
   * node that it was created on is still open, when that is closed.
   */
  configure(
    name: string,
    change: {
      cid?: number | 'auto';
      labels?: Record<string, string>;
      vsockTransport?: VsockTransport;
    },
  ): Promise<VmRecord>;
  hostVersion(): Promise<HostVersion>;
  /** Ends with the signal; each yield is the whole list, the first at once, then one at each change. */
  watch(options: { signal: AbortSignal }): AsyncIterable<VmRecord[]>;

  /** Of all VMs that the caller sees, by name; of one, ENOENT when there is none. */
  balloons(name?: string): Promise<BalloonRecord[]>;
  /** Asks for a balloon of a size, bytes, which is rounded up to the unit. ENOENT, EINVAL (over the device's limit). */
  setBalloon(name: string, size: number): Promise<BalloonRecord>;
  heartbeats(name?: string): Promise<HeartbeatRecord[]>;
  /** ENOENT, EINVAL (an interval below 50 ms, a time-out not 10 ms longer than that). */
  setHeartbeat(name: string, change: HeartbeatChange): Promise<HeartbeatRecord>;
  /** Raises events of VMMDev, as a mask. ENOENT, EINVAL (unknown bits). */
  raiseEvents(name: string, events: number): Promise<void>;

  /** As the host sees them; a pattern as in `enumerate`. ENOENT (VM). */
  guestProperties(vm: string, pattern: string): Promise<GuestProperty[]>;
  /** ENOENT for a VM or property that there is not. */
  guestProperty(vm: string, name: string): Promise<GuestProperty>;
  /** Null deletes it. ENOENT (VM), EACCES (read-only for the host), EINVAL (name, flags), E2BIG. */
  setGuestProperty(vm: string, name: string, value: string | null, flags?: string): Promise<void>;
  /**
   * The next change of a property that the pattern matches, or the oldest one after `after`, the timestamp of a change
   * that was told. ENOENT (VM), EINTR.
   */
  nextGuestProperty(
    vm: string,
    pattern: string,
    options: CallOptions & { after?: string | undefined },
  ): Promise<GuestPropertyChange>;

  /** Makes a guest misbehave. ENOENT, EINVAL (unknown kind, value that makes no sense). */
  setFault(name: string, fault: Fault): Promise<void>;
  /** Ends a fault, or all. ENOENT, EINVAL (unknown kind). */
  clearFault(name: string, kind?: string): Promise<void>;

  /**
   * Offers a VM; what is offered already stays as it is. It ends with the VM; that of a persistent VM comes back with a
   * restarted host. With `forClient`, what was not offered yet ends with this client. ENOENT (VM), EACCES, EADDRINUSE (a
   * socket or node of that name), ENODEV (no CUSE), EOPNOTSUPP.
   */
  exportVm(name: string, options: { kind: ExportKind; forClient?: boolean }): Promise<ExportRecord>;
  /** Ends that, if it is offered. ENOENT (VM), EINVAL for the hybrid socket. */
  unexportVm(name: string, kind: ExportKind): Promise<void>;
  /** Offers the host's own nodes, as `exportVm`; only `cuse`. */
  exportHost(options: { kind: ExportKind }): Promise<ExportRecord>;
  unexportHost(kind: ExportKind): Promise<void>;

  /**
   * Gives a simulated vCPU what it executes: lines of text, vmmctl-run(1); null takes it away again. ENOENT (VM), EINVAL (a
   * number that the VM does not have; a program that makes no sense, with the line in the message), E2BIG, ENOMEM.
   */
  setVcpuProgram(name: string, vcpu: number, program: string | null): Promise<void>;
}
