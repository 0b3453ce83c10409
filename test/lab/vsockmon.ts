/** What a real kernel puts on the wire, captured by vsockmon, is what our layouts and our model say. */
import type { Test } from 'tap';
import { VIRTIO_VSOCK_SHUTDOWN_SEND, virtio_vsock_hdr } from '../../src/core/abi/virtio-vsock.js';
import {
  AF_VSOCK_OP_CONNECT,
  AF_VSOCK_OP_CONTROL,
  AF_VSOCK_OP_DISCONNECT,
  AF_VSOCK_OP_PAYLOAD,
  AF_VSOCK_TRANSPORT_VIRTIO,
  ARPHRD_VSOCKMON,
  af_vsockmon_hdr,
} from '../../src/core/abi/vsockmon.js';
import type { CapturedPacket } from '../../src/core/client/captured-packet.js';
import { type Lab, NOBODY } from './lab.js';

const PORT = 5500;
const CAPTURE = 'vmmctl -b device vsock capture';

interface Captured {
  monitor: ReturnType<typeof af_vsockmon_hdr.decode>;
  packet: ReturnType<typeof virtio_vsock_hdr.decode>;
  payload: string;
}

function decode(line: string): Captured {
  const bytes = Buffer.from(line, 'hex');
  const monitor = af_vsockmon_hdr.decode(bytes);
  const packet = virtio_vsock_hdr.decode(bytes.subarray(af_vsockmon_hdr.size));
  const payload = bytes.subarray(af_vsockmon_hdr.size + monitor.len).toString();
  return { monitor, packet, payload };
}

const OPS: Readonly<Record<number, string>> = {
  1: 'REQUEST',
  2: 'RESPONSE',
  3: 'RST',
  4: 'SHUTDOWN',
  5: 'RW',
  6: 'CREDIT_UPDATE',
};
const GROUPS: Readonly<Record<string, number>> = {
  REQUEST: AF_VSOCK_OP_CONNECT,
  RESPONSE: AF_VSOCK_OP_CONNECT,
  RST: AF_VSOCK_OP_DISCONNECT,
  SHUTDOWN: AF_VSOCK_OP_DISCONNECT,
  RW: AF_VSOCK_OP_PAYLOAD,
  CREDIT_UPDATE: AF_VSOCK_OP_CONTROL,
};

export async function testVsockmon(t: Test, lab: Lab): Promise<void> {
  await lab.loadModule('vsockmon');
  t.match(await lab.run(CAPTURE), { status: 7, stderr: /hint: .*ip link add vsockmon0/ });
  await lab.run('ip link add vsockmon0 type vsockmon && ip link set vsockmon0 up');
  const type = await lab.run('cat /sys/class/net/vsockmon0/type');
  t.equal(Number(type.stdout.toString()), ARPHRD_VSOCKMON);

  const listener = lab.start(`vmmctl -b device vsock listen ${PORT}`);
  await listener.waitFor('listening');
  const command = `printf hello | vmmctl -b device vsock connect local ${PORT}`;
  const program = `node build/test/lab/programs/capture.js vsockmon0 '${command}'`;
  const { status, stdout, stderr } = await lab.run(program);
  t.equal(status, 0, stderr);
  await listener.exited;

  const all = stdout.toString().trim().split('\n').map(decode);
  const packets = all.filter(({ packet }) => [packet.src_port, packet.dst_port].includes(PORT));
  t.equal(packets.length, all.length, 'there is no other');
  for (const { monitor, packet } of packets) {
    const op = OPS[packet.op] ?? '';
    t.match(monitor, {
      src_cid: 1n,
      dst_cid: 1n,
      src_port: packet.src_port,
      dst_port: packet.dst_port,
      op: GROUPS[op],
      transport: AF_VSOCK_TRANSPORT_VIRTIO,
      len: virtio_vsock_hdr.size,
    });
  }
  const ops = packets.map(({ packet }) => OPS[packet.op] ?? String(packet.op));
  t.strictSame(ops.slice(0, 2), ['REQUEST', 'RESPONSE']);
  const data = packets.filter(({ packet }) => OPS[packet.op] === 'RW');
  t.strictSame(
    data.map(({ packet, payload }) => [packet.dst_port, packet.len, payload]),
    [[PORT, 5, 'hello']],
  );
  const endings = packets.filter(({ packet }) => OPS[packet.op] === 'SHUTDOWN');
  const enders = new Set(endings.map(({ packet }) => packet.src_port));
  t.equal(enders.size, 2, 'each side says that it ends');
  t.ok(endings.every(({ packet }) => (packet.flags & VIRTIO_VSOCK_SHUTDOWN_SEND) !== 0));
  t.equal(ops.at(-1), 'RST', 'the end is confirmed');
  await testCapture(t, lab);
  await lab.run('ip link del vsockmon0');
  await lab.unloadModule('vsockmon');
}

/** `vsock capture` tells of the same packets as the program above. */
async function testCapture(t: Test, lab: Lab): Promise<void> {
  t.match(await lab.run(CAPTURE, { user: NOBODY }), { status: 5, stderr: /EPERM/ });
  t.match(await lab.run(`${CAPTURE} --vm web1`), { status: 7 });
  const lines = lab.start(`${CAPTURE} --json --verbose --port ${PORT}`);
  await lines.waitFor('listening');
  const others = lab.start(`${CAPTURE} --port 1`);
  await others.waitFor('listening');
  const file = lab.start(`${CAPTURE} --count 2 --snaplen 80 --write -`);
  await file.waitFor('listening');
  const listener = lab.start(`vmmctl -b device vsock listen ${PORT}`);
  await listener.waitFor('listening');
  await lab.run(`printf hello | vmmctl -b device vsock connect local ${PORT}`);
  await listener.exited;
  await lines.waitForOutput('RST');
  await lines.kill('SIGINT');
  const { status, stdout, stderr } = await lines.exited;
  t.equal(status, 130);
  const packets = stdout.toString().trim().split('\n');
  const said = packets.map((line) => JSON.parse(line) as CapturedPacket);
  t.match(stderr, `{"captured":${said.length},"lost":0}`);
  t.strictSame(
    said.slice(0, 2).map(({ op }) => op),
    ['REQUEST', 'RESPONSE'],
  );
  const data = said.filter(({ op }) => op === 'RW');
  t.match(data, [{ type: 'stream', len: 5, src: { cid: 1 }, dst: { cid: 1, port: PORT } }]);
  const times = said.map(({ time }) => Date.parse(time));
  t.ok(times.every((time, at) => time >= (times[at - 1] ?? 0)));
  t.match(await file.exited, { status: 0, stderr: /\n2 packets captured, 0 lost\n/ });
  await others.kill('SIGINT');
  t.match((await others.exited).stdout.toString(), /^$/, 'another port');
}
