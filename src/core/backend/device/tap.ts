/** The vsock packets of this machine, from a network device of the type vsockmon. Linux. */
import { readdir, readFile } from 'node:fs/promises';
import { errnoOf, SystemError } from '../../abi/errno.js';
import { MSG_TRUNC, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_RAW } from '../../abi/linux-socket.js';
import {
  AF_PACKET,
  ETH_P_ALL_NETWORK_ORDER,
  PACKET_STATISTICS,
  SIOCGSTAMP_NEW,
  SOL_PACKET,
  sockaddr_ll,
  tpacket_stats,
} from '../../abi/packet-socket.js';
import { timeval64 } from '../../abi/vm-sockets.js';
import { ARPHRD_VSOCKMON, af_vsockmon_hdr } from '../../abi/vsockmon.js';
import type { TapBatch, TapOptions, TappedPacket } from '../port/vsock.js';
import { Descriptor, type SocketSystem } from './descriptor.js';
import { check } from './errors.js';

const EAGAIN = errnoOf('EAGAIN', 'linux');
const DEVICES = '/sys/class/net';
/** What is received into before it is handed on, bytes. */
const SPACE = 1024 * 1024;

/** @throws SystemError ENODEV without such a device, ENETDOWN when it is not up, EPERM without CAP_NET_RAW. */
export async function* tapDevice(
  start: () => Promise<SocketSystem>,
  options: TapOptions,
): AsyncGenerator<TapBatch> {
  const index = await findMonitor();
  const descriptor = openTap(await start(), index);
  const space = new Uint8Array(SPACE);
  let lost = 0;
  try {
    yield { packets: [], lost };
    for (;;) {
      const last = options.signal.aborted;
      const { packets, seen } = receive(descriptor, space, options);
      lost += takeDrops(descriptor);
      if (packets.length > 0 || last) yield { packets, lost };
      if (last) return;
      if (seen === 0) await descriptor.nextEvent(options.signal);
    }
  } finally {
    descriptor.close();
  }
}

/** The interface index of the first device that shows vsock packets. */
async function findMonitor(): Promise<number> {
  const names = await readdir(DEVICES).catch((): string[] => []);
  for (const name of names.sort()) {
    const number = async (file: string) =>
      Number(await readFile(`${DEVICES}/${name}/${file}`, 'utf8').catch(() => Number.NaN));
    if ((await number('type')) === ARPHRD_VSOCKMON) return number('ifindex');
  }
  throw new SystemError('ENODEV', {
    message: 'this machine has no network device of the type vsockmon',
    hint: "make one with 'ip link add vsockmon0 type vsockmon' and 'ip link set vsockmon0 up'",
  });
}

function openTap(system: SocketSystem, index: number): Descriptor {
  const { libc } = system;
  const type = SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const fd = check(libc.socket(AF_PACKET, type, 0), { syscall: 'socket' });
  const address = sockaddr_ll.encode({
    sll_family: AF_PACKET,
    sll_protocol: ETH_P_ALL_NETWORK_ORDER,
    sll_ifindex: index,
  });
  const descriptor = new Descriptor(system, fd);
  try {
    check(libc.bind(fd, address), { syscall: 'bind' });
    return descriptor;
  } catch (error) {
    descriptor.close();
    throw error;
  }
}

/** All that has come, as far as there is space for it. */
function receive(
  { libc, fd }: Descriptor,
  space: Uint8Array,
  { port, snapLength }: TapOptions,
): { packets: TappedPacket[]; seen: number } {
  const packets: TappedPacket[] = [];
  let seen = 0;
  for (let at = 0; at + snapLength <= space.length; ) {
    const into = space.subarray(at, at + snapLength);
    const length = libc.recv(fd, into, MSG_TRUNC);
    if (length === -EAGAIN) break;
    check(length, { syscall: 'recv' });
    seen++;
    const frame = into.subarray(0, length);
    if (frame.length < af_vsockmon_hdr.size || !isWanted(frame, port)) continue;
    packets.push({ timeUs: arrival(libc, fd), frame, length });
    at += frame.length;
  }
  return { packets, seen };
}

function isWanted(frame: Uint8Array, port: number | undefined): boolean {
  if (port === undefined) return true;
  const { src_port, dst_port } = af_vsockmon_hdr.decode(frame);
  return src_port === port || dst_port === port;
}

/** When the packet that was received last came, microseconds since 1970. */
function arrival(libc: Descriptor['libc'], fd: number): number {
  const time = new Uint8Array(timeval64.size);
  check(libc.ioctl(fd, SIOCGSTAMP_NEW, time), { syscall: 'ioctl' });
  const { tv_sec, tv_usec } = timeval64.decode(time);
  return Number(tv_sec) * 1_000_000 + Number(tv_usec);
}

/** Packets that were lost since the last call. */
function takeDrops({ libc, fd }: Descriptor): number {
  const stats = new Uint8Array(tpacket_stats.size);
  check(libc.getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, stats), { syscall: 'getsockopt' });
  return tpacket_stats.decode(stats).tp_drops;
}
