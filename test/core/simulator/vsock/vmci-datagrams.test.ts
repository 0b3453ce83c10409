/** Datagram sockets over VMCI, and who may talk to a context that is restricted. */
import t from 'tap';
import { VMADDR_CID_ANY, VMADDR_CID_HOST } from '../../../../src/core/abi/vm-sockets.js';
import { VMCI_PRIVILEGE_FLAG_RESTRICTED } from '../../../../src/core/abi/vmci.js';
import { VMCI_RESULT } from '../../../../src/core/abi/vmci-errors.js';
import { VMCI_TRANSPORT_PACKET_TYPE_REQUEST2 } from '../../../../src/core/abi/vmci-vsock.js';
import { type Caller, ROOT } from '../../../../src/core/simulator/node.js';
import type { VmciContext } from '../../../../src/core/simulator/vmci/context.js';
import type { Datagram } from '../../../../src/core/simulator/vmci/parts.js';
import type { Socket } from '../../../../src/core/simulator/vsock/socket.js';
import type { Stack } from '../../../../src/core/simulator/vsock/stack.js';
import { encodeControl } from '../../../../src/core/simulator/vsock/vmci-control.js';
import { vmciLab } from '../../../helpers/vmci-peer.js';
import { Lab, PORT, text, USER, utf8 } from '../../../helpers/vsock.js';

const MAX_PAYLOAD = 69_608;

function bound(stack: Stack, port: number, caller: Caller = ROOT): Socket {
  const socket = stack.socket('dgram', caller);
  stack.bind(socket, { cid: VMADDR_CID_ANY, port });
  return socket;
}

function received(socket: Socket): string {
  const message = socket.recvMessage();
  return message === null || message === undefined ? 'wait' : text(message.bytes);
}

t.test('there are datagrams where VMCI is', async (t) => {
  t.throws(() => new Lab().host.socket('dgram', ROOT), { code: 'ENODEV' });
  const lab = vmciLab();
  t.equal(lab.host.socket('dgram', ROOT).type, 'dgram');
  t.equal(lab.stack().socket('dgram', ROOT).type, 'dgram');
  lab.network.removeGuest(lab.guest());
  t.throws(() => lab.host.socket('dgram', ROOT), { code: 'ENODEV' }, 'until the last guest goes');
});

t.test('datagrams', async (t) => {
  t.test('go both ways, and tell from whom they are', async (t) => {
    const lab = vmciLab();
    const server = bound(lab.host, 2222);
    const client = bound(lab.stack(), 4444);
    lab.stack().sendTo(client, utf8('ping'), { cid: VMADDR_CID_HOST, port: 2222 });
    lab.settle();
    t.ok(lab.network.woken.has(server));
    const message = server.recvMessage();
    t.same(message?.from, { cid: 3, port: 4444 });
    t.equal(text(message?.bytes), 'ping');
    lab.host.sendTo(server, utf8('pong'), { cid: 3, port: 4444 });
    lab.settle();
    t.equal(received(client), 'pong');
    t.equal(received(client), 'wait');
    client.close();
    server.close();
    t.equal(lab.host.sockets().size + lab.stack().sockets().size, 0);
  });

  t.test('go to the peer of a socket that is connected, from a port of its own', async (t) => {
    const lab = vmciLab();
    const server = bound(lab.host, 2222);
    const client = lab.stack().socket('dgram', ROOT);
    lab.stack().connect(client, { cid: VMADDR_CID_HOST, port: 2222 });
    t.ok(client.local.port > 1023);
    t.equal(client.sendMessage(utf8('hello')), 5);
    lab.settle();
    t.same(server.recvMessage()?.from, { cid: 3, port: client.local.port });
    const fresh = lab.stack().socket('dgram', ROOT);
    t.throws(() => fresh.sendMessage(utf8('x')), { code: 'ENOTCONN' });
  });

  t.test('have at most 69608 bytes', async (t) => {
    const lab = vmciLab();
    const server = bound(lab.host, 2222);
    const client = bound(lab.stack(), 4444);
    const to = { cid: VMADDR_CID_HOST, port: 2222 };
    const send = (size: number) => lab.stack().sendTo(client, new Uint8Array(size), to);
    t.throws(() => send(MAX_PAYLOAD + 1), { code: 'EMSGSIZE' });
    send(MAX_PAYLOAD);
    send(0);
    lab.settle();
    t.equal(server.recvMessage()?.bytes.length, MAX_PAYLOAD);
    t.equal(server.recvMessage()?.bytes.length, 0);
  });

  t.test('that find no room in their socket are lost', async (t) => {
    const lab = vmciLab();
    const server = bound(lab.host, 2222);
    const client = bound(lab.stack(), 4444);
    for (let n = 0; n < 20_000; n++) {
      lab.stack().sendTo(client, utf8(''), { cid: VMADDR_CID_HOST, port: 2222 });
    }
    lab.settle();
    t.equal(server.datagrams.length, Math.floor(262_144 / 24), 'also those that say nothing');
  });

  t.test('give the errors of the reference', async (t) => {
    const lab = vmciLab({ guests: 2 });
    const client = bound(lab.stack(), 4444);
    const send = (cid: number, port: number) => () =>
      lab.stack().sendTo(client, utf8('x'), { cid, port });
    t.throws(send(VMADDR_CID_HOST, 1), { code: 'EPERM' }, 'the kernel of the host has that port');
    t.throws(send(VMADDR_CID_HOST, 999), { code: 'EHOSTUNREACH' }, 'nobody has that one');
    t.throws(send(4, 4444), { code: 'EINVAL' }, 'another VM');
    t.throws(send(0, 1), { code: 'EINVAL' }, 'the hypervisor');
    t.throws(() => bound(lab.stack(), 4444), { code: 'EADDRINUSE' });
    t.throws(() => bound(lab.stack(), 1023, USER), { code: 'EACCES' });
    t.equal(bound(lab.stack(), 1023).local.port, 1023);
    t.equal(bound(lab.stack(), 1024, USER).local.port, 1024);
    const free = bound(lab.stack(), 0xffffffff);
    t.ok(free.local.port > 1023 && free.local.port !== 1024);
    client.close();
    t.equal(bound(lab.stack(), 4444).local.port, 4444, 'a closed socket gives its port back');
  });

  t.test('the queue of a guest that takes none is full at some point', async (t) => {
    const lab = vmciLab();
    const server = bound(lab.host, 2222);
    const send = () => lab.host.sendTo(server, new Uint8Array(60_000), { cid: 3, port: 4444 });
    send();
    send();
    t.throws(send, { code: 'ENOBUFS' });
    lab.settle();
    t.doesNotThrow(send);
  });
});

t.test('a restricted context', async (t) => {
  /** The context of a user's program, and what it sends. */
  const restricted = (lab: Lab, owner: Caller): VmciContext =>
    lab.vmci.host.createContext(33, VMCI_PRIVILEGE_FLAG_RESTRICTED, { owner });
  const send = (lab: Lab, datagram: Datagram) => {
    const result = lab.vmci.host.dispatch(33, datagram, true);
    lab.settle();
    return result;
  };
  const request = () => {
    const to = { cid: VMADDR_CID_HOST, port: PORT };
    const words = { size: 4096, proto: 1 };
    const said = encodeControl(
      VMCI_TRANSPORT_PACKET_TYPE_REQUEST2,
      { cid: 33, port: 9 },
      to,
      words,
    );
    return { ...said, src: { context: 33, resource: 1 } };
  };
  const other: Caller = { ...USER, uid: 1001 };
  const admin: Caller = { ...USER, capabilities: new Set(['CAP_NET_ADMIN']) };

  for (const [who, caller, result] of [
    ['a user', USER, VMCI_RESULT.VMCI_ERROR_NO_ACCESS],
    ['its own user', other, 56],
    ['who has CAP_NET_ADMIN', admin, 56],
    ['root', ROOT, 56],
  ] as const) {
    t.test(`and a socket of ${who}: ${result}`, async (t) => {
      const lab = vmciLab();
      restricted(lab, other);
      lab.listen(lab.host, PORT, { caller });
      t.equal(send(lab, request()), result);
      const socket = bound(lab.host, 2222, caller);
      const dst = { context: VMADDR_CID_HOST, resource: 2222 };
      const src = { context: 33, resource: 4444 };
      const said = send(lab, { dst, src, payload: utf8('ping') });
      t.equal(said, result === 56 ? 28 : result);
      const answer = () => lab.host.sendTo(socket, utf8('pong'), { cid: 33, port: 4444 });
      if (result === 56) t.doesNotThrow(answer);
      else t.throws(answer, { code: 'EPERM' });
    });
  }
});
