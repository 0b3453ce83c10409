/**
 * The port: what a backend offers to the clients. A backend is what an operating system is to a driver's
 * user, a tree of device nodes and a socket family as one caller sees them, plus (where the backend has it)
 * the management channel that a hypervisor offers beside its nodes.
 *
 * Every call may throw a SystemError whose `code` is the name of the system's error.
 */
import type {
  BalloonRecord,
  GuestProperty,
  GuestPropertyChange,
  HeartbeatChange,
  HeartbeatRecord,
} from './port/guest.js';
import type { KvmHosts } from './port/kvm.js';
import type {
  CallOptions,
  DeviceNode,
  MappedMemory,
  NodeStatus,
  OpenOptions,
} from './port/node.js';
import type {
  DeviceExportKind,
  ExportKind,
  ExportRecord,
  Fault,
  HostVersion,
  VmDetails,
  VmRecord,
} from './port/vm.js';
import type { VmciKernel } from './port/vmci.js';
import type {
  SocketRecord,
  SocketType,
  TapBatch,
  TapOptions,
  VsockSocket,
  VsockTransport,
} from './port/vsock.js';

/** Whose nodes and sockets: the host's, or those of the guest of a VM. */
export type MachineName = 'host' | { vm: string };

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
  /**
   * The reason for which the VM is suspended (`poweroff`, `reset`, ..., not `paused`), once it is: whoever runs its guest
   * has to end it then. ENOENT (VM; also when it is destroyed meanwhile), ECONNRESET (the host is gone), EINTR.
   */
  suspension(name: string, options: CallOptions): Promise<string>;
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
   * restarted host. ENOENT (VM), EACCES, EADDRINUSE (a socket or node of that name), ENODEV (no CUSE), EOPNOTSUPP.
   * With `forClient` it is this client's alone, for a guest of its own, and what was not offered yet ends with this client:
   * EBUSY while another one has it so, or a kernel uses it.
   */
  exportVm(name: string, options: { kind: ExportKind; forClient?: boolean }): Promise<ExportRecord>;
  /**
   * Ends that, if it is offered; with `forClient` only what this client has so, and nobody else has asked for. ENOENT (VM),
   * EINVAL for the hybrid socket.
   */
  unexportVm(name: string, options: { kind: ExportKind; forClient?: boolean }): Promise<void>;
  /** The socket at which a device is offered, or would be. ENOENT (VM), EOPNOTSUPP (no such device), ENAMETOOLONG. */
  devicePath(name: string, kind: DeviceExportKind): Promise<string>;
  /** Offers the host's own nodes, as `exportVm`; only `cuse`. */
  exportHost(options: { kind: ExportKind }): Promise<ExportRecord>;
  unexportHost(kind: ExportKind): Promise<void>;

  /**
   * Gives a simulated vCPU what it executes: lines of text, vmmctl-run(1); null takes it away again. ENOENT (VM), EINVAL (a
   * number that the VM does not have; a program that makes no sense, with the line in the message), E2BIG, ENOMEM.
   */
  setVcpuProgram(name: string, vcpu: number, program: string | null): Promise<void>;
}
