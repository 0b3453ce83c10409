/**
 * Layouts and numbers against a C compiler: declarations of our own for FreeBSD, whose headers are
 * not on the machines that run the tests, and the system's own headers for Linux. Those of VirtualBox' guest
 * device have a test of their own, vbox-headers.test.ts.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import * as auxv from '../../../src/core/abi/auxv.js';
import * as fuse from '../../../src/core/abi/fuse.js';
import * as kvm from '../../../src/core/abi/kvm.js';
import * as kvmRun from '../../../src/core/abi/kvm-run.js';
import * as kvmVm from '../../../src/core/abi/kvm-vm.js';
import * as linuxSocket from '../../../src/core/abi/linux-socket.js';
import * as packetSocket from '../../../src/core/abi/packet-socket.js';
import * as sockDiag from '../../../src/core/abi/sock-diag.js';
import * as vhost from '../../../src/core/abi/vhost.js';
import * as virtio from '../../../src/core/abi/virtio.js';
import * as balloon from '../../../src/core/abi/virtio-balloon.js';
import * as virtioVsock from '../../../src/core/abi/virtio-vsock.js';
import * as vmSockets from '../../../src/core/abi/vm-sockets.js';
import * as vmm from '../../../src/core/abi/vmm.js';
import * as vmmExit from '../../../src/core/abi/vmm-exit.js';
import * as vmmctl from '../../../src/core/abi/vmmctl.js';
import * as vsockmon from '../../../src/core/abi/vsockmon.js';
import * as reactor from '../../../src/core/native/reactor.js';
import { AbiProgram, compareWithCompiler } from '../../helpers/c-abi.js';
import type { ComparedLayout } from '../../helpers/golden.js';
import { requireFile, requireTool } from '../../helpers/requires.js';

const FREEBSD = `
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/time.h>

#define VOIDED 0x20000000ul
#define OUTWARD 0x40000000ul
#define INWARD 0x80000000ul
#define IOC(dir, group, nr, len) \\
  ((unsigned)((dir) | (((len) & 0x1ffful) << 16) | ((group) << 8) | (nr)))
#define IO(group, nr) IOC(VOIDED, group, nr, 0ul)
#define IOR(group, nr, type) IOC(OUTWARD, group, nr, sizeof(type))
#define IOW(group, nr, type) IOC(INWARD, group, nr, sizeof(type))
#define IOWR(group, nr, type) IOC(INWARD | OUTWARD, group, nr, sizeof(type))

typedef uint64_t gpa_t;
struct domains;
struct cpus;
enum how { NONE, RESET, POWEROFF };

struct vmmctl_vm_create { char name[255 - 10 - 15 - 1 + 1]; unsigned flags; int reserved[15]; };
struct vmmctl_vm_create_v1 { char name[230]; int reserved[16]; };
struct vmmctl_vm_destroy { char name[230]; int reserved[16]; };
struct vm_memmap { gpa_t gpa; int segid; int64_t segoff; size_t len; int prot; int flags; };
struct vm_munmap { gpa_t gpa; size_t len; };
struct vm_memseg_fbsd12 { int segid; size_t len; char name[64]; };
struct vm_memseg_14 { int segid; size_t len; char name[16]; };
struct vm_memseg {
  int segid; size_t len; char name[16];
  struct domains *ds_mask; size_t ds_mask_size; int ds_policy;
};
struct vm_register { int cpuid; int regnum; uint64_t regval; };
struct seg_desc { uint64_t base; uint32_t limit; uint32_t access; };
struct vm_seg_desc { int cpuid; int regnum; struct seg_desc desc; };
struct vm_exit {
  int exitcode; int inst_length; uint64_t rip;
  union { char raw[120]; uint64_t w; } u;
};
struct vm_run { int cpuid; struct cpus *cpuset; size_t cpusetsize; struct vm_exit *vm_exit; };
struct vm_suspend { enum how how; };
struct vm_activate_cpu { int vcpuid; };
struct vm_cpuset { int which; int cpusetsize; struct cpus *cpus; };
struct vm_stats { int cpuid; int index; int num_entries; struct timeval tv; uint64_t statbuf[64]; };
struct vm_stat_desc { int index; char desc[128]; };
struct vm_cpu_topology { uint16_t sockets; uint16_t cores; uint16_t threads; uint16_t maxcpus; };
`;

const FREEBSD_LAYOUTS: ComparedLayout[] = [
  vmmctl.vmmctl_vm_create,
  vmmctl.vmmctl_vm_create_v1,
  vmmctl.vmmctl_vm_destroy,
  vmm.vm_memmap,
  vmm.vm_munmap,
  vmm.vm_memseg_fbsd12,
  vmm.vm_memseg_14,
  vmm.vm_memseg,
  vmm.vm_register,
  vmmExit.seg_desc,
  vmm.vm_seg_desc,
  vmmExit.vm_exit,
  vmm.vm_run,
  vmm.vm_suspend,
  vmm.vm_activate_cpu,
  vmm.vm_cpuset,
  vmm.vm_stats,
  vmm.vm_stat_desc,
  vmm.vm_cpu_topology,
];

const { VMM_IOCTLS } = vmm;
const FREEBSD_NUMBERS: [string, number][] = [
  ["IOWR('V', 0, struct vmmctl_vm_create)", vmmctl.VMMCTL_VM_CREATE],
  ["IOWR('V', 0, struct vmmctl_vm_create_v1)", vmmctl.VMMCTL_VM_CREATE],
  ["IOWR('V', 1, struct vmmctl_vm_destroy)", vmmctl.VMMCTL_VM_DESTROY],
  ["IOWR('v', 1, struct vm_run)", VMM_IOCTLS.VM_RUN.number],
  ["IOW('v', 4, struct vm_suspend)", VMM_IOCTLS.VM_SUSPEND.number],
  ["IO('v', 5)", VMM_IOCTLS.VM_REINIT.number],
  ["IOW('v', 14, struct vm_memseg)", VMM_IOCTLS.VM_ALLOC_MEMSEG.number],
  ["IOW('v', 14, struct vm_memseg_14)", VMM_IOCTLS.VM_ALLOC_MEMSEG_14.number],
  ["IOW('v', 14, struct vm_memseg_fbsd12)", VMM_IOCTLS.VM_ALLOC_MEMSEG_12.number],
  ["IOWR('v', 15, struct vm_memseg)", VMM_IOCTLS.VM_GET_MEMSEG.number],
  ["IOWR('v', 17, struct vm_memmap)", VMM_IOCTLS.VM_MMAP_GETNEXT.number],
  ["IOW('v', 19, struct vm_munmap)", VMM_IOCTLS.VM_MUNMAP_MEMSEG.number],
  ["IOW('v', 20, struct vm_register)", VMM_IOCTLS.VM_SET_REGISTER.number],
  ["IOWR('v', 21, struct vm_register)", VMM_IOCTLS.VM_GET_REGISTER.number],
  ["IOWR('v', 23, struct vm_seg_desc)", VMM_IOCTLS.VM_GET_SEGMENT_DESCRIPTOR.number],
  ["IOWR('v', 50, struct vm_stats)", VMM_IOCTLS.VM_STATS.number],
  ["IOWR('v', 51, struct vm_stat_desc)", VMM_IOCTLS.VM_STAT_DESC.number],
  ["IOW('v', 63, struct vm_cpu_topology)", VMM_IOCTLS.VM_SET_TOPOLOGY.number],
  ["IOR('v', 64, struct vm_cpu_topology)", VMM_IOCTLS.VM_GET_TOPOLOGY.number],
  ["IOW('v', 90, struct vm_activate_cpu)", VMM_IOCTLS.VM_ACTIVATE_CPU.number],
  ["IOW('v', 91, struct vm_cpuset)", VMM_IOCTLS.VM_GET_CPUS.number],
];

/** Headers of Linux, the structs in them that we describe, and our numbers by the header's name. */
interface LinuxHeader {
  header: string;
  layouts: ComparedLayout[];
  numbers: Record<string, number>;
}

const LINUX: LinuxHeader[] = [
  {
    header: 'linux/vm_sockets.h',
    layouts: [vmSockets.sockaddr_vm],
    numbers: pick(
      vmSockets,
      ...['AF_VSOCK', 'VMADDR_CID_ANY', 'VMADDR_CID_HYPERVISOR', 'VMADDR_CID_LOCAL'],
      ...['VMADDR_CID_HOST', 'VMADDR_PORT_ANY', 'VMADDR_FLAG_TO_HOST'],
      ...['SO_VM_SOCKETS_BUFFER_SIZE', 'SO_VM_SOCKETS_BUFFER_MIN_SIZE'],
      ...['SO_VM_SOCKETS_BUFFER_MAX_SIZE', 'SO_VM_SOCKETS_PEER_HOST_VM_ID'],
      ...['SO_VM_SOCKETS_TRUSTED', 'SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD'],
      ...['SO_VM_SOCKETS_NONBLOCK_TXRX', 'SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW'],
      'IOCTL_VM_SOCKETS_GET_LOCAL_CID',
    ),
  },
  {
    header: 'linux/virtio_vsock.h',
    layouts: [
      virtioVsock.virtio_vsock_hdr,
      virtioVsock.virtio_vsock_config,
      virtioVsock.virtio_vsock_event,
    ],
    numbers: pick(
      virtioVsock,
      ...['VIRTIO_VSOCK_F_SEQPACKET', 'VIRTIO_VSOCK_EVENT_TRANSPORT_RESET'],
      ...['VIRTIO_VSOCK_TYPE_STREAM', 'VIRTIO_VSOCK_TYPE_SEQPACKET', 'VIRTIO_VSOCK_OP_INVALID'],
      ...['VIRTIO_VSOCK_OP_REQUEST', 'VIRTIO_VSOCK_OP_RESPONSE', 'VIRTIO_VSOCK_OP_RST'],
      ...['VIRTIO_VSOCK_OP_SHUTDOWN', 'VIRTIO_VSOCK_OP_RW', 'VIRTIO_VSOCK_OP_CREDIT_UPDATE'],
      ...['VIRTIO_VSOCK_OP_CREDIT_REQUEST', 'VIRTIO_VSOCK_SHUTDOWN_RCV'],
      ...['VIRTIO_VSOCK_SHUTDOWN_SEND', 'VIRTIO_VSOCK_SEQ_EOM', 'VIRTIO_VSOCK_SEQ_EOR'],
    ),
  },
  {
    header: 'linux/vsockmon.h',
    layouts: [vsockmon.af_vsockmon_hdr],
    numbers: pick(
      vsockmon,
      ...['AF_VSOCK_OP_UNKNOWN', 'AF_VSOCK_OP_CONNECT', 'AF_VSOCK_OP_DISCONNECT'],
      ...['AF_VSOCK_OP_CONTROL', 'AF_VSOCK_OP_PAYLOAD', 'AF_VSOCK_TRANSPORT_UNKNOWN'],
      ...['AF_VSOCK_TRANSPORT_NO_INFO', 'AF_VSOCK_TRANSPORT_VIRTIO'],
    ),
  },
  { header: 'linux/if_arp.h', layouts: [], numbers: pick(vsockmon, 'ARPHRD_VSOCKMON') },
  {
    header: 'linux/if_packet.h',
    layouts: [packetSocket.sockaddr_ll, packetSocket.tpacket_stats],
    numbers: pick(packetSocket, 'AF_PACKET', 'SOL_PACKET', 'PACKET_STATISTICS'),
  },
  { header: 'linux/if_ether.h', layouts: [], numbers: pick(packetSocket, 'ETH_P_ALL') },
  { header: 'linux/sockios.h', layouts: [], numbers: pick(packetSocket, 'SIOCGSTAMP_NEW') },
  {
    header: 'linux/vm_sockets_diag.h',
    layouts: [sockDiag.vsock_diag_req, sockDiag.vsock_diag_msg],
    numbers: {},
  },
  {
    header: 'linux/netlink.h',
    layouts: [sockDiag.nlmsghdr],
    numbers: pick(
      sockDiag,
      ...['AF_NETLINK', 'NETLINK_SOCK_DIAG', 'NLMSG_ERROR', 'NLMSG_DONE'],
      ...['NLM_F_REQUEST', 'NLM_F_DUMP'],
    ),
  },
  {
    header: 'linux/sock_diag.h',
    layouts: [],
    numbers: pick(sockDiag, 'SOCK_DIAG_BY_FAMILY'),
  },
  {
    header: 'netinet/tcp.h',
    layouts: [],
    numbers: pick(
      sockDiag,
      ...['TCP_ESTABLISHED', 'TCP_SYN_SENT', 'TCP_CLOSE', 'TCP_LISTEN', 'TCP_CLOSING'],
    ),
  },
  { header: 'linux/time_types.h', layouts: [vmSockets.timeval64], numbers: {} },
  {
    header: 'sys/syscall.h',
    layouts: [],
    numbers: pick(linuxSocket, 'SYS_pidfd_open', 'SYS_pidfd_getfd'),
  },
  { header: 'sys/ioctl.h', layouts: [], numbers: pick(linuxSocket, 'FIONBIO') },
  {
    header: 'asm/socket.h',
    layouts: [],
    numbers: pick(
      linuxSocket,
      ...Object.keys(linuxSocket).filter((name) => /^(SOCK|SOL|SO|SHUT|MSG)_/.test(name)),
    ),
  },
  {
    header: 'sys/epoll.h',
    layouts: [],
    numbers: pick(reactor, 'EPOLLIN', 'EPOLLOUT', 'EPOLLERR', 'EPOLLHUP', 'EPOLLRDHUP'),
  },
  { header: 'linux/vhost.h', layouts: [], numbers: numbersOf(vhost) },
  {
    header: 'linux/kvm.h',
    layouts: [],
    numbers: {
      ...numbersOf(kvm),
      ...kvm.KVM_CAPABILITIES,
      ...kvmRun.KVM_EXIT,
      ...kvmRun.KVM_INTERNAL_ERROR,
      ...kvmRun.KVM_SYSTEM_EVENT,
      ...numbersOf(kvmRun, /^KVM_EXIT_/),
      ...kvmRunNumbers(),
    },
  },
  {
    header: 'linux/virtio_balloon.h',
    // Its configuration has names in unions.
    layouts: [balloon.virtio_balloon_stat],
    numbers: numbersOf(balloon),
  },
  {
    header: 'linux/virtio_config.h',
    layouts: [],
    numbers: numbersOf(virtio, /^VIRTIO_F_/),
  },
  {
    header: 'linux/virtio_ring.h',
    layouts: [],
    numbers: numbersOf(virtio, /^VIRTIO_RING_F_/),
  },
  {
    header: 'linux/fuse.h',
    layouts: [
      fuse.fuse_in_header,
      fuse.fuse_out_header,
      fuse.fuse_open_in,
      fuse.fuse_open_out,
      fuse.fuse_release_in,
      fuse.fuse_interrupt_in,
      fuse.fuse_ioctl_in,
      fuse.fuse_ioctl_iovec,
      fuse.fuse_ioctl_out,
      fuse.fuse_poll_in,
      fuse.fuse_poll_out,
      fuse.fuse_notify_poll_wakeup_out,
      fuse.cuse_init_in,
      fuse.cuse_init_out,
    ],
    numbers: {
      ...fuse.FUSE_OPCODE,
      ...pick(fuse, 'FUSE_KERNEL_VERSION', 'CUSE_UNRESTRICTED_IOCTL', 'CUSE_INIT_INFO_MAX'),
      ...pick(fuse, 'FUSE_IOCTL_RETRY', 'FUSE_IOCTL_MAX_IOV'),
      ...pick(fuse, 'FUSE_POLL_SCHEDULE_NOTIFY', 'FUSE_NOTIFY_POLL'),
    },
  },
  {
    header: 'linux/auxvec.h',
    layouts: [],
    numbers: numbersOf(auxv),
  },
];

/** struct kvm_run as far as its union, and the arms of that, which have no names as structs. */
function kvmRunNumbers(): Record<string, number> {
  const union = kvmRun.KVM_RUN_EXIT;
  const rows = kvmRun.kvm_run.fields.map(({ name, offset }) => [name, offset] as const);
  const arms = Object.entries(kvmRun).filter(([name]) => name.startsWith('kvm_run_'));
  for (const [, arm] of arms) {
    if (typeof arm !== 'object' || !('fields' in arm)) continue;
    const inRun = arm.name.replace('kvm_run.', '');
    for (const { name, offset } of arm.fields) rows.push([`${inRun}.${name}`, union + offset]);
  }
  const offsets = rows.map(([name, at]) => [`offsetof(struct kvm_run, ${name})`, at]);
  const size = [`offsetof(struct kvm_run, kvm_valid_regs)`, kvmRun.kvm_run.size];
  return Object.fromEntries([...offsets, size]);
}

/** x86-64 alone has these. */
const KVM_X86: LinuxHeader = {
  header: 'linux/kvm.h',
  layouts: [
    kvmVm.kvm_userspace_memory_region,
    kvmVm.kvm_regs,
    kvmVm.kvm_segment,
    kvmVm.kvm_dtable,
    kvmVm.kvm_sregs,
  ],
  numbers: {
    ...numbersOf(kvmVm, /^KVM_(?!CPUID_ENTRY)/),
    'sizeof(struct kvm_cpuid2)': kvmVm.kvm_cpuid2.size,
    'sizeof(struct kvm_cpuid_entry2)': kvmVm.KVM_CPUID_ENTRY_SIZE,
  },
};
if (process.arch === 'x64') LINUX.push(KVM_X86);

const MULTIARCH = ['x86_64', 'aarch64', 'riscv64', 'i386', 'powerpc64le'];

function pick(module: Record<string, unknown>, ...names: string[]): Record<string, number> {
  return Object.fromEntries(names.map((name) => [name, Number(module[name])]));
}

/** All numbers that a module exports, or those whose names match. */
function numbersOf(module: Record<string, unknown>, names = /^[A-Z]/): Record<string, number> {
  const rows = Object.entries(module).filter(
    (row): row is [string, number] => typeof row[1] === 'number' && names.test(row[0]),
  );
  return Object.fromEntries(rows);
}

t.test('the structs of bhyve are laid out as a C compiler does it', async (t) => {
  if (!requireTool(t, 'cc')) return;
  const program = new AbiProgram(FREEBSD);
  for (const layout of FREEBSD_LAYOUTS) program.addStruct(layout);
  for (const [expression, number] of FREEBSD_NUMBERS) program.addNumber(expression, number);
  compareWithCompiler(t, program);
});

/** Those of the C library may stand below the name of the machine. */
function pathOf(header: string): string {
  const directories = [
    '/usr/include',
    ...MULTIARCH.map((name) => `/usr/include/${name}-linux-gnu`),
  ];
  const paths = directories.map((directory) => join(directory, header));
  return paths.find(existsSync) ?? join('/usr/include', header);
}

for (const { header, layouts, numbers } of LINUX) {
  t.test(`what we took from <${header}> is what the header says`, async (t) => {
    if (!requireTool(t, 'cc')) return;
    if (!requireFile(t, pathOf(header), 'a header for C programs')) return;
    const includes = ['stddef.h', 'stdio.h', 'sys/socket.h', 'linux/ioctl.h', header];
    const program = new AbiProgram(includes.map((name) => `#include <${name}>`).join('\n'));
    for (const layout of layouts) program.addStruct(layout);
    for (const [name, number] of Object.entries(numbers)) program.addNumber(name, number);
    compareWithCompiler(t, program);
  });
}
