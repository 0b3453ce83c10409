import t from 'tap';
import { VMADDR_CID_ANY, VMADDR_PORT_ANY } from '../../../../src/core/abi/vm-sockets.js';
import { ROOT } from '../../../../src/core/simulator/node.js';
import type { Rng } from '../../../../src/core/simulator/rng.js';
import type { Socket } from '../../../../src/core/simulator/vsock/socket.js';
import { SocketTables } from '../../../../src/core/simulator/vsock/tables.js';
import { Lab } from '../../../helpers/vsock.js';

const { host } = new Lab();
const AUTOMATIC = { cid: VMADDR_CID_ANY, port: VMADDR_PORT_ANY };

/** Chance that always says the same. */
function always(number: number): Rng {
  return { below: () => number };
}

function bound(tables: SocketTables, cid: number, port: number): Socket {
  const socket = host.socket('stream', ROOT);
  tables.bind(socket, { cid, port });
  return socket;
}

t.test('a packet finds the socket that is bound to its address or to any CID', async (t) => {
  const tables = new SocketTables(always(0));
  const own = bound(tables, 2, 10);
  const any = bound(tables, VMADDR_CID_ANY, 11);
  t.equal(tables.findBound({ cid: 2, port: 10 }), own);
  t.equal(tables.findBound({ cid: 1, port: 10 }), undefined);
  t.equal(tables.findBound({ cid: 1, port: 11 }), any);
  t.equal(tables.findBound({ cid: 2, port: 12 }), undefined);
});

t.test('a connected socket is found by its peer and its own port, whatever its CID', async (t) => {
  const tables = new SocketTables(always(0));
  const socket = bound(tables, 2, 10);
  tables.connect(socket);
  t.equal(tables.findConnected({ cid: 3, port: 99 }, 10), undefined, 'not without a peer');
  socket.peer = { cid: 3, port: 99 };
  tables.connect(socket);
  t.equal(tables.findConnected({ cid: 3, port: 99 }, 10), socket);
  t.equal(tables.findConnected({ cid: 4, port: 99 }, 10), undefined);
  t.same([...tables.all()], [socket], 'in both tables, listed once');
  tables.remove(socket);
  t.equal(tables.all().size, 0);
});

t.test('a socket that was removed leaves alone who came after it', async (t) => {
  const tables = new SocketTables(always(0));
  const first = bound(tables, 2, 10);
  first.peer = { cid: 3, port: 99 };
  tables.connect(first);
  tables.remove(first);
  const second = bound(tables, 2, 10);
  second.peer = { cid: 3, port: 99 };
  tables.connect(second);
  tables.remove(first);
  t.equal(tables.findConnected({ cid: 3, port: 99 }, 10), second);
  t.equal(tables.findBound({ cid: 2, port: 10 }), second);
});

t.test('an automatic port follows the one before and steps over taken ones', async (t) => {
  const tables = new SocketTables(always(500));
  const port = () => bound(tables, AUTOMATIC.cid, AUTOMATIC.port).local.port;
  t.equal(port(), 1524);
  t.equal(port(), 1525);
  bound(tables, VMADDR_CID_ANY, 1526);
  t.equal(port(), 1527);
});

t.test('automatic ports begin again above the privileged ones', async (t) => {
  const last = VMADDR_PORT_ANY - 1;
  const tables = new SocketTables(always(last - 1024));
  const port = () => bound(tables, AUTOMATIC.cid, AUTOMATIC.port).local.port;
  t.equal(port(), last, 'VMADDR_PORT_ANY itself is never given out');
  t.equal(port(), 1024);
});

t.test(
  '24 taken ports in a row give EADDRNOTAVAIL, and the next call goes on behind them',
  async (t) => {
    const tables = new SocketTables(always(0));
    for (let n = 0; n < 24; n++) bound(tables, VMADDR_CID_ANY, 1024 + n);
    const socket = host.socket('stream', ROOT);
    t.throws(() => tables.bind(socket, AUTOMATIC), { code: 'EADDRNOTAVAIL', syscall: 'bind' });
    t.notOk(socket.bound);
    tables.bind(socket, AUTOMATIC);
    t.equal(socket.local.port, 1048);
  },
);

t.test('23 taken ports in a row are stepped over', async (t) => {
  const tables = new SocketTables(always(0));
  for (let n = 0; n < 23; n++) bound(tables, VMADDR_CID_ANY, 1024 + n);
  t.equal(bound(tables, AUTOMATIC.cid, AUTOMATIC.port).local.port, 1047);
});
