import t from 'tap';
import { SystemError } from '../../src/core/abi/errno.js';
import type { VsockSocket } from '../../src/core/backend/port/vsock.js';
import type { Machine } from '../../src/core/backend/port.js';
import { conformanceCase } from './case.js';

/** A machine whose sockets only count how many of them are open. */
function countingMachine() {
  const open = { sockets: 0 };
  const socket = async () => {
    open.sockets++;
    const close = async () => {
      open.sockets--;
    };
    return { close } as unknown as VsockSocket;
  };
  return { open, machine: { socket } as unknown as Machine };
}

t.test('a case that gets no answer says so, and closes what it had opened', async (t) => {
  const { open, machine } = countingMachine();
  const { run } = conformanceCase(
    'waits',
    (bench) => bench.socket().then(() => new Promise(() => {})),
    {
      limitMs: 20,
    },
  );
  t.equal(await run(machine), 'hangs');
  t.equal(open.sockets, 0);
});

t.test('a case that fails says how, and closes what it had opened', async (t) => {
  const { open, machine } = countingMachine();
  const { run } = conformanceCase('fails', async (bench) => {
    await bench.socket();
    throw new SystemError('ENODEV', { syscall: 'connect' });
  });
  t.equal(await run(machine), 'fails: connect ENODEV');
  t.equal(open.sockets, 0);
});

t.test('cases have ports of their own', async (t) => {
  const { machine } = countingMachine();
  const ports: number[] = [];
  for (const name of ['one', 'two']) {
    const { run } = conformanceCase(name, async (bench) => {
      ports.push(bench.port, bench.otherPort(15));
      return '';
    });
    await run(machine);
  }
  t.equal(new Set(ports).size, 4);
  t.ok((ports[1] ?? 0) < (ports[2] ?? 0));
});
