/**
 * Runs in a lab: captures what passes a network device of the type vsockmon while a command runs, and prints each packet
 * in hexadecimal on a line. `node capture.js DEVICE COMMAND`
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_RAW } from '../../../src/core/abi/linux-socket.js';
import {
  AF_PACKET,
  ETH_P_ALL_NETWORK_ORDER,
  sockaddr_ll,
} from '../../../src/core/abi/packet-socket.js';
import { loadLibc } from '../../../src/core/native/libc.js';

const LONGEST_PACKET = 1 << 17;

const [, , device = '', command = ''] = process.argv;
const libc = await loadLibc();
const fd = libc.socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, ETH_P_ALL_NETWORK_ORDER);
if (fd < 0) throw new Error(`socket = ${fd}`);
const bound = libc.bind(fd, addressOf(device));
if (bound < 0) throw new Error(`bind = ${bound}`);
const { status, stderr } = spawnSync('bash', ['-c', command], { encoding: 'utf8' });
process.stderr.write(stderr);
const packet = new Uint8Array(LONGEST_PACKET);
for (;;) {
  const length = libc.recv(fd, packet, 0);
  if (length < 0) break;
  console.log(Buffer.from(packet.subarray(0, length)).toString('hex'));
}
process.exit(status ?? 1);

/** struct sockaddr_ll of a device. */
function addressOf(name: string): Uint8Array {
  return sockaddr_ll.encode({
    sll_family: AF_PACKET,
    sll_protocol: ETH_P_ALL_NETWORK_ORDER,
    sll_ifindex: Number(readFileSync(`/sys/class/net/${name}/ifindex`, 'utf8')),
  });
}
