/**
 * Memory that a client and the simulated host both map: page stores and notify bytes for ioctls, queue pairs between two
 * clients, and what a client can do wrong.
 */
import { readdirSync } from 'node:fs';
import t, { type Test } from 'tap';
import { VMCI_INVALID_ID } from '../../src/core/abi/vmci.js';
import { VMCI_RESULT as R } from '../../src/core/abi/vmci-errors.js';
import * as ioctls from '../../src/core/abi/vmci-ioctls.js';
import {
  openQueuePair,
  queuePairBytes,
  resetQueuePair,
  VMCI_PAGE_SIZE,
} from '../../src/core/abi/vmci-queue.js';
import { VMCI_QPFLAG_ATTACH_ONLY } from '../../src/core/abi/vmci-queue-pair.js';
import type { MappedMemory } from '../../src/core/backend/port/node.js';
import type { VmciKernel, VmciQueuePair } from '../../src/core/backend/port/vmci.js';
import type { Backend, Machine } from '../../src/core/backend/port.js';
import { connectSimulator } from '../../src/core/backend/simulator/backend.js';
import { openControl } from '../../src/core/backend/simulator/connection.js';
import { openContext } from '../../src/core/client/vmci.js';
import { attachQueuePair, createQueuePair } from '../../src/core/client/vmci-queue.js';
import { hostPaths } from '../../src/core/daemon/paths.js';
import { simulatedHost } from '../helpers/host.js';

/** A simulated host with VM `web1`, and what connects this process to it. */
async function start(t: Test) {
  const host = await simulatedHost(t);
  Object.assign(process.env, host.env);
  await host.run(['create', 'web1']);
  const open: Backend[] = [];
  const client = async () => {
    const backend = await connectSimulator('default', { start: false });
    open.push(backend);
    return backend;
  };
  const control = async () => {
    const connection = await openControl(hostPaths('default'));
    if (connection === undefined) throw new Error('it does not run');
    t.teardown(() => connection.close());
    return connection;
  };
  t.teardown(async () => {
    for (const backend of open) await backend.close();
  });
  const pid = await host.daemon();
  /** Descriptors of memory that it has. */
  const files = () => readdirSync(`/proc/${pid}/fd`).length;
  return { host, client, control, files };
}

async function kernel(backend: Backend, of: 'host' | { vm: string }): Promise<VmciKernel> {
  const vmci = await backend.machine(of).vmci?.();
  if (vmci === undefined) throw new Error('the backend has no VMCI');
  return vmci;
}

function mapped(machine: Machine, bytes: number): Promise<MappedMemory> {
  return machine.memory?.(bytes) ?? Promise.reject(new Error('the backend has no memory'));
}

t.test('a program brings pages by their address, and the host attaches to them', async (t) => {
  const { client } = await start(t);
  const [program, other] = [await client(), await client()];
  const machine = program.machine('host');
  const { node, contextId } = await openContext(machine, 33);
  t.equal(contextId, 33);
  const sizes = { produceSize: 8192, consumeSize: 4096 };
  const memory = await mapped(machine, queuePairBytes(sizes));
  t.equal(memory.address % BigInt(VMCI_PAGE_SIZE), 0n);
  const handle = { context: 33, resource: 500 };
  resetQueuePair(memory, sizes, handle);
  const request = ioctls.vmci_qp_alloc_info.encode({
    handle,
    peer: 2,
    produce_size: 8192n,
    consume_size: 4096n,
    ppn_va: memory.address,
    num_ppns: BigInt(memory.length / VMCI_PAGE_SIZE),
    result: 77,
  });
  const { data } = await node.ioctl(ioctls.IOCTL_VMCI_QUEUEPAIR_ALLOC, request);
  t.equal(ioctls.vmci_qp_alloc_info.decode(data).result, 0);
  const stream = await attachQueuePair(await kernel(other, 'host'), handle);
  const ends = openQueuePair(memory, sizes);
  ends.produce.enqueue(new TextEncoder().encode('from its pages'));
  t.equal(new TextDecoder().decode(await stream.next()), 'from its pages');
  await stream.write(new Uint8Array(3000));
  t.equal(ends.consume.bufReady, 3000);
  await node.close();
  await stream.left;
  t.throws(() => stream.writeSome(new Uint8Array(1)), { code: 'EPIPE' });
  await memory.release();
});

t.test('the notify byte is written where the program has it', async (t) => {
  const { client } = await start(t);
  const machine = (await client()).machine('host');
  const { node, contextId } = await openContext(machine);
  const memory = await mapped(machine, 1);
  const notify = ioctls.vmci_set_notify_info.encode({ notify_uva: memory.address + 9n });
  const answer = await node.ioctl(ioctls.IOCTL_VMCI_SET_NOTIFY, notify);
  t.equal(ioctls.vmci_set_notify_info.decode(answer.data).result, 0);
  const doorbell = async (action: number) => {
    const handle = { context: contextId, resource: 2000 };
    const info = { handle, resource: ioctls.VMCI_NOTIFY_RESOURCE_DOOR_BELL, action };
    await node.ioctl(
      ioctls.IOCTL_VMCI_NOTIFY_RESOURCE,
      ioctls.vmci_dbell_notify_resource_info.encode(info),
    );
  };
  await doorbell(ioctls.VMCI_NOTIFY_RESOURCE_ACTION_CREATE);
  t.equal(memory.view(9, 1)[0], 0);
  await doorbell(ioctls.VMCI_NOTIFY_RESOURCE_ACTION_NOTIFY);
  t.equal(memory.view(9, 1)[0], 1);
  t.equal(memory.view(8, 1)[0], 0);
});

t.test('addresses beside the memory are no memory', async (t) => {
  const { client } = await start(t);
  const machine = (await client()).machine('host');
  const { node } = await openContext(machine, 33);
  const memory = await mapped(machine, 3 * VMCI_PAGE_SIZE);
  const page = BigInt(VMCI_PAGE_SIZE);
  for (const address of [memory.address - page, memory.address + page, 0n, 2n ** 63n]) {
    const request = ioctls.vmci_qp_alloc_info.encode({
      handle: { context: 33, resource: 1 },
      peer: 2,
      produce_size: 1n,
      consume_size: 1n,
      ppn_va: address,
      num_ppns: 4n,
    });
    const { data } = await node.ioctl(ioctls.IOCTL_VMCI_QUEUEPAIR_ALLOC, request);
    t.equal(ioctls.vmci_qp_alloc_info.decode(data).result, R.VMCI_ERROR_NO_MEM, `${address}`);
  }
});

t.test('a client has memory within limits, and it is gone with the client', async (t) => {
  const { client, files } = await start(t);
  const backend = await client();
  const machine = backend.machine('host');
  const before = files();
  await t.rejects(() => mapped(machine, 2 ** 30 + 1), { code: 'EINVAL' });
  const big = await mapped(machine, 2 ** 30);
  await t.rejects(() => mapped(machine, 1), { code: 'ENOMEM' });
  await big.release();
  for (let count = 0; count < 256; count++) await mapped(machine, 1);
  await t.rejects(() => mapped(machine, 1), { code: 'ENOMEM' });
  await backend.close();
  const another = await client();
  await another.machine('host').localCid();
  t.ok(files() <= before + 1, 'no descriptor is left');
});

t.test('ends go with their client, and leave no descriptor', async (t) => {
  const { client, files } = await start(t);
  const watcher = await kernel(await client(), 'host');
  const before = files();
  const backend = await client();
  const [host, guest] = [await kernel(backend, 'host'), await kernel(backend, { vm: 'web1' })];
  const sizes = { produceSize: 4096, consumeSize: 4096 };
  for (let count = 0; count < 10; count++) {
    const made = await createQueuePair(count % 2 === 0 ? host : guest, sizes);
    const attacher = count % 4 < 2 ? guest : host;
    await attachQueuePair(attacher, made.handle);
  }
  // A guest's own local pairs are not the host's to see.
  t.equal((await watcher.queuePairs()).length, 7);
  await backend.close();
  while ((await watcher.queuePairs()).length > 0) await new Promise((next) => setTimeout(next, 5));
  t.ok(files() <= before);
});

t.test('sleepers of both ends are waked, whatever they wait for', async (t) => {
  const { client } = await start(t);
  const [host, guest] = [
    await kernel(await client(), 'host'),
    await kernel(await client(), { vm: 'web1' }),
  ];
  const sizes = { produceSize: 128, consumeSize: 128 };
  const one = await createQueuePair(host, sizes);
  const other = await attachQueuePair(guest, one.handle);
  await one.attached();
  // Pieces longer than the queue, so that both sides sleep again and again.
  const rounds = 300;
  const send = async () => {
    for (let round = 0; round < rounds; round++) await one.write(new Uint8Array(300).fill(round));
    await one.end();
  };
  let [got, wrong] = [0, 0];
  const receive = async () => {
    for (let piece = await other.next(); piece !== undefined; piece = await other.next()) {
      for (const byte of piece) if (byte !== (Math.floor(got++ / 300) & 0xff)) wrong++;
      other.consumed(piece.length);
    }
  };
  await Promise.all([send(), receive()]);
  t.equal(got, rounds * 300);
  t.equal(wrong, 0);
});

t.test('indexes of the other end are checked by the commands and by the list', async (t) => {
  const { host, client } = await start(t);
  const guest = await kernel(await client(), { vm: 'web1' });
  const wish = { peer: VMCI_INVALID_ID, flags: 0, produceSize: 64, consumeSize: 64 };
  const { pair } = await guest.allocQueuePair(wish);
  const handle = `${pair?.handle.context}:${pair?.handle.resource}`;
  const reader = host.start(['vmci', 'queue', 'attach', handle], { openStdin: true });
  while (pair?.peer !== 'attached') await pair?.woken(() => pair.peer === 'attached');
  // A tail that is moved by more than there is.
  pair.queues?.produce.produced(200);
  pair.wake();
  const { status, stderr } = await reader.ended;
  t.equal(status, 1);
  t.match(stderr, /an index is outside of its queue \(EPROTO, from VMCI_ERROR_INVALID_SIZE\)/);
  const [record] = await guest.queuePairs();
  t.equal(record?.produce, null);
  t.match(record?.consume, { ready: 0 });
});

t.test('what a client asks for may be anything', async (t) => {
  const { control, client } = await start(t);
  const connection = await control();
  const wish = { peer: VMCI_INVALID_ID, flags: 0, produceSize: 4096, consumeSize: 4096 };
  const code = (op: string, parameters: object) =>
    connection.call(op, parameters).then(
      ({ values }) => values.result ?? 'ok',
      (error) => error.code,
    );
  t.equal(await code('vmciQueueAlloc', { ...wish, produceSize: -1 }), 'EINVAL');
  t.equal(
    await code('vmciQueueAlloc', { ...wish, produceSize: 2 ** 52 }),
    R.VMCI_ERROR_NO_RESOURCES,
  );
  t.equal(await code('vmciQueueAlloc', { ...wish, produceSize: 1.5 }), 'EINVAL');
  t.equal(await code('vmciQueueAlloc', { ...wish, handle: 'x' }), 'EINVAL');
  t.equal(await code('vmciQueueAlloc', { ...wish, handle: {} }), 'EINVAL');
  t.equal(await code('vmciQueueAlloc', { ...wish, flags: 0xffffffff }), R.VMCI_ERROR_INVALID_ARGS);
  t.equal(await code('vmciQueueAlloc', { ...wish, vm: 'nobody' }), 'ENOENT');
  for (const op of ['vmciQueueNews', 'vmciQueueWake', 'vmciQueueDetach']) {
    t.equal(await code(op, { end: 9 }), 'EBADF', op);
    t.equal(await code(op, {}), 'EINVAL', op);
  }
  const { values } = await connection.call('vmciQueueAlloc', wish);
  const { end } = values;
  connection.tell('vmciQueueWake', { end: 77 });
  connection.tell('vmciQueueWake', { end, ended: 'perhaps' });
  connection.tell('no such call', {});
  const news = connection.call('vmciQueueNews', { end });
  t.equal(await code('vmciQueueNews', { end }), 'EBUSY', 'one waits already');
  const stop = new AbortController();
  await connection.call('vmciQueueDetach', { end });
  await t.rejects(news, { code: 'EBADF' });
  const again = (await connection.call('vmciQueueAlloc', wish)).values.end;
  const cancelled = connection.call('vmciQueueNews', { end: again }, { signal: stop.signal });
  stop.abort();
  await t.rejects(cancelled, { code: 'EINTR' });
  for (let count = 1; count < 256; count++) await connection.call('vmciQueueAlloc', wish);
  t.equal(await code('vmciQueueAlloc', wish), 'EMFILE');
  for (const bytes of [-1, 1.5, 'x']) t.equal(await code('memoryMake', { bytes }), 'EINVAL');
  t.equal(await code('memoryRelease', { address: 1 }), 'EINVAL');
  await (await client()).machine('host').localCid();
});

t.test('a wake-up without a reader does not gather', async (t) => {
  const { client } = await start(t);
  const [host, guest] = [
    await kernel(await client(), 'host'),
    await kernel(await client(), { vm: 'web1' }),
  ];
  const wish = { peer: VMCI_INVALID_ID, flags: 0, produceSize: 64, consumeSize: 64 };
  const { pair: one } = await host.allocQueuePair(wish);
  const flags = VMCI_QPFLAG_ATTACH_ONLY;
  const { pair: other } = await guest.allocQueuePair({ ...wish, flags, handle: one?.handle });
  if (one === undefined || other === undefined) throw new Error('no pair');
  await untilAttached(one);
  for (let count = 0; count < 10_000; count++) other.wake();
  other.end();
  while (!one.peerEnded) await one.woken(() => one.peerEnded);
  t.equal(other.peerEnded, false);
  await one.detach();
  await other.left;
  t.equal(other.peer, 'detached');
  await other.detach();
  await other.detach();
});

async function untilAttached(pair: VmciQueuePair): Promise<void> {
  while (pair.peer !== 'attached') await pair.woken(() => pair.peer === 'attached');
}
