import t from 'tap';
import {
  decodeHeader,
  PATCHSET_2015_OP_ACK,
  type PacketHeader,
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RESPONSE,
  VIRTIO_VSOCK_OP_RST,
  VIRTIO_VSOCK_OP_RW,
} from '../../../../src/core/abi/virtio-vsock.js';
import { SeededRng } from '../../../../src/core/simulator/rng.js';
import { Handshake } from '../../../../src/core/simulator/vsock/handshake.js';
import { VSOCK_PROFILES } from '../../../../src/core/simulator/vsock/profile.js';
import type { Socket } from '../../../../src/core/simulator/vsock/socket.js';
import { Lab, PORT, RAW_PORT, text, utf8, virtio } from '../../../helpers/vsock.js';

const MINUTE = 60_000;
const OLD = { profile: 'patchset-2015', policy: 'siblings' } as const;

/** A listener of the host that was asked for a connection, and the cookie that it gave. */
function asked(): { lab: Lab; listener: Socket; cookie: number } {
  const lab = new Lab(OLD);
  const listener = lab.listen(lab.host);
  lab.raw(lab.ownDriver(), { op: VIRTIO_VSOCK_OP_REQUEST });
  const response = lab.packets[1];
  if (response?.op !== VIRTIO_VSOCK_OP_RESPONSE) throw new Error('no RESPONSE came');
  lab.tapLog();
  return { lab, listener, cookie: response.flags };
}

t.test('two-way: a REQUEST is taken, a RST ignored, anything else refused', async (t) => {
  const handshake = new Handshake(new SeededRng(1));
  const header: PacketHeader = {
    srcCid: 3,
    dstCid: 2,
    srcPort: 1,
    dstPort: 2,
    len: 0,
    type: 1,
    op: VIRTIO_VSOCK_OP_REQUEST,
    flags: 0,
    bufAlloc: 0,
    fwdCnt: 0,
  };
  const profile = VSOCK_PROFILES['linux-6.12'];
  t.equal(handshake.step(profile, header, 0), 'accept');
  t.equal(handshake.step(profile, { ...header, op: VIRTIO_VSOCK_OP_RST }, 0), 'ignore');
  t.equal(handshake.step(profile, { ...header, op: VIRTIO_VSOCK_OP_RW }, 0), 'refuse');
  t.equal(handshake.step(profile, { ...header, op: PATCHSET_2015_OP_ACK }, 0), 'refuse');
  t.ok(handshake.opens(profile, header));
  t.notOk(handshake.opens(VSOCK_PROFILES['patchset-2015'], header));
});

t.test('three-way', async (t) => {
  t.test('is REQUEST, RESPONSE with a cookie, ACK with the cookie, then data', async (t) => {
    const lab = new Lab(OLD);
    const listener = lab.listen(lab.host);
    const client = lab.connect(lab.stack(), 2);
    client.send(utf8('hello'));
    lab.settle();
    const [request, response, ack] = lab.packets;
    t.equal(request?.flags, 0);
    t.ok(response && response.flags < 2 ** 24, 'a cookie has 24 bits');
    t.equal(ack?.flags, response?.flags);
    t.same(lab.tapLog(), ['REQUEST', 'RESPONSE', 'ACK', 'RW']);
    const server = lab.accept(listener);
    t.equal(text(server.recv(10)), 'hello');
    server.send(utf8('hi'));
    lab.settle();
    t.equal(text(client.recv(10)), 'hi');
  });

  t.test('keeps no state before the ACK', async (t) => {
    const { lab, listener } = asked();
    t.equal(lab.host.sockets().size, 1);
    t.equal(listener.acceptQueue.length, 0);
  });

  t.test('takes an ACK with the cookie, also when four minutes begin', async (t) => {
    for (const age of [0, MINUTE, 3 * MINUTE, 4 * MINUTE - 1]) {
      const { lab, listener, cookie } = asked();
      lab.advance(age);
      lab.raw(lab.guest(), { op: PATCHSET_2015_OP_ACK, flags: cookie });
      t.equal(listener.acceptQueue.length, 1, `${age} ms`);
    }
  });

  t.test('ignores a stale cookie', async (t) => {
    const { lab, listener, cookie } = asked();
    lab.advance(4 * MINUTE);
    lab.raw(lab.guest(), { op: PATCHSET_2015_OP_ACK, flags: cookie });
    t.equal(listener.acceptQueue.length, 0);
    t.same(lab.tapLog(), ['ACK']);
  });

  t.test('ignores forged cookies', async (t) => {
    const { lab, listener, cookie } = asked();
    for (const flags of [0, cookie ^ 1, cookie + 2 ** 24, 0xffffffff]) {
      lab.raw(lab.guest(), { op: PATCHSET_2015_OP_ACK, flags });
    }
    t.equal(listener.acceptQueue.length, 0);
    t.same(lab.tapLog(), ['ACK', 'ACK', 'ACK', 'ACK']);
  });

  t.test('gives a cookie for one address only', async (t) => {
    const { lab, listener, cookie } = asked();
    const ack = { op: PATCHSET_2015_OP_ACK, flags: cookie };
    lab.raw(lab.guest(), { ...ack, srcPort: RAW_PORT + 1 });
    lab.listen(lab.host, PORT + 1);
    lab.raw(lab.guest(), { ...ack, dstPort: PORT + 1 });
    t.equal(listener.acceptQueue.length, 0);
    lab.raw(lab.guest(), ack);
    t.equal(listener.acceptQueue.length, 1);
  });

  t.test('makes one connection of an ACK that comes twice', async (t) => {
    const { lab, listener, cookie } = asked();
    lab.raw(lab.guest(), { op: PATCHSET_2015_OP_ACK, flags: cookie });
    lab.raw(lab.guest(), { op: PATCHSET_2015_OP_ACK, flags: cookie });
    t.equal(listener.acceptQueue.length, 1);
    t.equal(lab.accept(listener).state, 'connected');
  });

  t.test('is silent when the backlog is full, or nobody listens', async (t) => {
    const lab = new Lab(OLD);
    const nobody = lab.connect(lab.stack(), 2);
    lab.listen(lab.host, PORT, { backlog: 0 });
    lab.connect(lab.stack(), 2);
    const late = lab.connect(lab.stack(), 2);
    lab.advance(2000);
    t.equal(nobody.takeError(), 'ETIMEDOUT');
    t.equal(late.takeError(), 'ETIMEDOUT');
  });

  t.test('ignores what is neither REQUEST nor ACK', async (t) => {
    const lab = new Lab(OLD);
    lab.listen(lab.host);
    for (const op of [0, 2, 3, 4, 5, 6, 7]) lab.raw(lab.guest(), { op });
    t.equal(lab.tapLog().length, 7);
  });

  t.test('ends without a confirmation: close says SHUTDOWN and is over', async (t) => {
    const lab = new Lab({ profile: 'patchset-2015' });
    const { client, server } = lab.pair('stream', lab.host, lab.stack());
    client.send(utf8('bye'));
    client.close();
    lab.settle();
    t.same(lab.tapLog(), ['RW', 'SHUTDOWN']);
    t.equal(lab.host.sockets().size, 0);
    t.equal(lab.deadlines.size, 0);
    t.equal(text(server.recv(10)), 'bye');
    t.equal(text(server.recv(10)), 'end');
    t.notOk(server.cutOff);
    server.close();
    lab.settle();
    t.equal(lab.stack().sockets().size, 0);
  });

  t.test('checks no overrun: what comes is taken', async (t) => {
    const { lab, listener, cookie } = asked();
    lab.raw(lab.guest(), { op: PATCHSET_2015_OP_ACK, flags: cookie });
    const server = lab.accept(listener);
    for (let n = 0; n < 5; n++) {
      lab.raw(lab.guest(), { op: VIRTIO_VSOCK_OP_RW }, new Uint8Array(65_536));
    }
    t.equal(virtio(server).credit.rxBytes, 5 * 65_536);
  });

  t.test('goes from the host to guests by its own policy', async (t) => {
    const lab = new Lab({ profile: 'patchset-2015', guests: 2 });
    t.equal(lab.network.switch.policy, 'host-connects');
    lab.listen(lab.host);
    lab.listen(lab.stack());
    t.equal(lab.connect(lab.host, 3).state, 'connected');
    const socket = lab.connect(lab.stack(), 2);
    lab.advance(2000);
    t.equal(socket.takeError(), 'ETIMEDOUT');
  });
});

t.test('two listeners of different seeds give different cookies', async (t) => {
  const cookie = (seed: number) => {
    const lab = new Lab({ ...OLD, seed });
    const flags: number[] = [];
    lab.network.switch.addTap((header) => flags.push(decodeHeader(header).flags));
    lab.listen(lab.host);
    lab.raw(lab.ownDriver(), { op: VIRTIO_VSOCK_OP_REQUEST });
    return flags[1];
  };
  t.not(cookie(1), cookie(2));
});
