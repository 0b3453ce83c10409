import fc from 'fast-check';
import t from 'tap';
import type { PacketHeader } from '../../../../src/core/abi/virtio-vsock.js';
import type { ProfileName } from '../../../../src/core/simulator/vsock/profile.js';
import { drain, Lab, PORT, RAW_PORT, text, utf8 } from '../../../helpers/vsock.js';
import { guardStack } from '../../../simulation/checks.js';

/** What a driver may put into a packet: mostly what hits something, sometimes anything. */
const PACKET = fc.record({
  op: fc.oneof(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 0xffff })),
  srcCid: fc.constantFrom(3, 3, 3, 3, 2, 4),
  dstCid: fc.constantFrom(2, 2, 2, 2, 4, 9),
  srcPort: fc.integer({ min: RAW_PORT, max: RAW_PORT + 2 }),
  dstPort: fc.constantFrom(PORT, PORT, PORT + 1, 0, 0xffffffff),
  type: fc.constantFrom(1, 1, 1, 2, 3, 0),
  flags: fc.constantFrom(0, 0, 1, 2, 3, 0xffffffff),
  bufAlloc: fc.constantFrom(0, 1, 262_144, 0xffffffff),
  fwdCnt: fc.constantFrom(0, 0, 1, 65_536, 0xffffffff),
});
const STEP = fc.record({
  packet: PACKET,
  bytes: fc.constantFrom(0, 0, 1, 100, 65_536),
  reads: fc.boolean(),
});

type Step = { packet: Partial<PacketHeader> & { op: number }; bytes: number; reads: boolean };

/** Plays a driver's packets against a host that serves, beside a guest that behaves. */
function attack(profile: ProfileName, steps: readonly Step[]): void {
  const lab = new Lab({ profile, guests: 2, policy: 'siblings', defers: true });
  guardStack(lab.host);
  guardStack(lab.stack(4));
  const good = lab.pair('stream', lab.stack(4));
  const listener = lab.listen(lab.host, PORT, { backlog: 2 });
  const driver = lab.ownDriver(3);
  const taken = [];
  for (const { packet, bytes, reads } of steps) {
    lab.raw(driver, packet, new Uint8Array(bytes));
    if (!reads || listener.acceptQueue.length === 0) continue;
    const socket = lab.accept(listener);
    taken.push(socket);
    if (socket.peerShutdown === 0) socket.send(utf8('welcome'));
  }
  good.client.send(utf8('still here'));
  lab.settle();
  if (text(good.server.recv(20)) !== 'still here') throw new Error('the good guest was cut off');
  for (const socket of taken) {
    try {
      drain(socket);
    } catch {}
    socket.close();
  }
  good.client.close();
  good.server.close();
  listener.close();
  lab.advance(20_000);
  const left = lab.host.sockets().size + lab.stack(4).sockets().size;
  if (left > 0) throw new Error(`${left} sockets are left`);
  if (lab.deadlines.size > 0) throw new Error(`${lab.deadlines.size} deadlines are left`);
}

for (const profile of ['linux-6.12', 'linux-6.1'] as const) {
  t.test(`whatever a driver sends, a host of ${profile} keeps its promises`, async () => {
    fc.assert(
      fc.property(fc.array(STEP, { maxLength: 60 }), (steps) => attack(profile, steps)),
      { numRuns: 300 },
    );
  });
}
