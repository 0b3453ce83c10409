/** What the process that holds a VM of KVM answers, with vCPUs that a test tells what to do. */
import { once } from 'node:events';
import { connect } from 'node:net';
import fc from 'fast-check';
import t from 'tap';
import { exitFromFrame } from '../../../../src/core/backend/device/kvm/protocol.js';
import { encodeFrame } from '../../../../src/core/daemon/wire.js';
import { until } from '../../../helpers/host.js';
import { exitOf, KVM_EXIT_HLT, KVM_EXIT_IO, KVM_EXIT_SHUTDOWN, served } from './kvm-fake.js';

const RUN = { call: 'run', vcpu: 0, at: null } as const;
const NEXT = { call: 'next' } as const;
const STOP = { call: 'stop' } as const;

t.test('exits come one at a time, and answers go back', async (t) => {
  const { machine, connect } = await served(t);
  const [vcpu] = machine.vcpus;
  vcpu.exits.push(exitOf(KVM_EXIT_IO, 0x1006n, [0x41]), exitOf(KVM_EXIT_HLT, 2n ** 64n - 1n));
  const client = await connect();
  const image = Uint8Array.of(1, 2, 3);
  const first = exitFromFrame(await client.call({ ...RUN, at: 0x1000 }, image));
  t.match(first, { reason: KVM_EXIT_IO, rip: 0x1006n, data: Uint8Array.of(0x41) });
  t.match(machine.loaded, [{ at: 0x1000 }]);
  t.same([...(machine.loaded[0]?.bytes ?? [])], [1, 2, 3]);
  t.same(vcpu.begun, [0x1000]);
  const second = exitFromFrame(await client.call(NEXT, Uint8Array.of(0x7f)));
  t.match(second, { reason: KVM_EXIT_HLT, rip: 2n ** 64n - 1n });
  t.same(vcpu.answers, ['7f']);
});

t.test('a vCPU has one runner, and is free when that one stops', async (t) => {
  const { machine, connect } = await served(t);
  const [a, b] = [await connect(), await connect()];
  machine.vcpus[0].exits.push(exitOf(KVM_EXIT_HLT), exitOf(KVM_EXIT_HLT));
  await a.call(RUN);
  await t.rejects(b.call(RUN), { code: 'EBUSY', message: 'somebody runs vCPU 0 already' });
  machine.vcpus[1].exits.push(exitOf(KVM_EXIT_HLT));
  await b.call({ ...RUN, vcpu: 1 });
  b.send(STOP);
  a.send(STOP);
  await a.ask({ call: 'vm' });
  t.match(await b.call(RUN), { json: { exit: { reason: KVM_EXIT_HLT } } });
});

t.test('stop is what a signal is: the run that waits is answered with EINTR', async (t) => {
  const { machine, connect } = await served(t);
  const client = await connect();
  for (let round = 0; round < 3; round++) {
    const run = client.call(RUN);
    if (round > 0) await until('it runs', () => machine.vcpus[0].runners === 1);
    client.send(STOP);
    await t.rejects(run, { code: 'EINTR' });
    const state = round === 0 ? 'created' : 'suspended';
    t.match(await client.ask({ call: 'vm' }), { state }, 'before it runs and while it does');
  }
});

t.test('what the guest reads may come with stop, but not while it runs', async (t) => {
  const { machine, connect } = await served(t);
  const [vcpu] = machine.vcpus;
  const client = await connect();
  vcpu.exits.push(exitOf(KVM_EXIT_IO));
  await client.call(RUN);
  client.send(STOP, Uint8Array.of(0x7f));
  client.send(STOP, Uint8Array.of(0x11));
  await client.ask({ call: 'vm' });
  t.same(vcpu.answers, ['7f'], 'there is nothing to stop any more');
  const run = client.call(RUN);
  await until('it runs', () => vcpu.runners === 1);
  client.send(STOP, Uint8Array.of(0x22));
  await t.rejects(run, { code: 'EINTR' });
  t.same(vcpu.answers, ['7f']);
});

t.test('a vCPU whose client is gone is kicked, and the next one waits for that', async (t) => {
  const { machine, connect } = await served(t);
  const [vcpu] = machine.vcpus;
  let letGo = (): void => undefined;
  vcpu.stubborn = new Promise((resolve) => {
    letGo = resolve;
  });
  const first = await connect();
  const lost = t.rejects(first.call(RUN), { code: 'ECONNRESET' });
  await until('it runs', () => vcpu.runners === 1);
  first.close();
  await lost;
  let waiting: Promise<unknown> = Promise.resolve();
  let next = await connect();
  await until('who comes next waits', async () => {
    next = await connect();
    waiting = next.call(RUN).catch(({ code }) => code);
    const soon = new Promise((resolve) => setTimeout(resolve, 50));
    return (await Promise.race([waiting, soon])) !== 'EBUSY';
  });
  next.send(STOP);
  letGo();
  t.equal(await waiting, 'EINTR', 'stopped while it waits for its turn');
  vcpu.exits.push(exitOf(KVM_EXIT_HLT));
  await (await connect()).call(RUN);
});

t.test('what is told of it', async (t) => {
  const { machine, connect } = await served(t);
  const client = await connect();
  t.match(await client.ask({ call: 'vm' }), { name: 'web1', state: 'created', reason: null });
  machine.vcpus[0].exits.push(exitOf(KVM_EXIT_IO), exitOf(KVM_EXIT_HLT), exitOf(99));
  await client.call(RUN);
  t.match(await client.ask({ call: 'vm' }), { state: 'running', reason: null });
  await client.call(NEXT);
  client.send(STOP);
  t.match(await client.ask({ call: 'vm' }), { state: 'suspended', reason: 'halt' });
  await client.call(RUN);
  client.send(STOP);
  t.match(await client.ask({ call: 'inspect' }), {
    reason: 'paused',
    counters: { KVM_EXIT_IO: 1, KVM_EXIT_HLT: 1, 99: 1 },
  });
  machine.vcpus[0].exits.push(exitOf(KVM_EXIT_SHUTDOWN));
  await client.call(RUN);
  client.send(STOP);
  t.match(await client.ask({ call: 'vm' }), { state: 'suspended', reason: 'triplefault' });
  const silent = t.rejects(client.call(RUN), { code: 'EINTR' });
  await until('it runs', () => machine.vcpus[0].runners === 1);
  client.send(STOP);
  await silent;
  t.match(await client.ask({ call: 'vm' }), { reason: 'paused' }, 'stopped before it had an exit');
});

t.test('what makes no sense is refused, and the vCPU stays free', async (t) => {
  const { machine, connect } = await served(t);
  const client = await connect();
  await t.rejects(client.call({ ...RUN, vcpu: 2 }), { code: 'EINVAL', message: /no vCPU 2/ });
  await t.rejects(client.call({ ...RUN, at: 0x100000 }), { code: 'EINVAL' });
  await t.rejects(client.call(NEXT), { code: 'EINTR' });
  machine.vcpus[0].exits.push(exitOf(KVM_EXIT_HLT));
  await client.call(RUN);
  await t.rejects(client.call(RUN), { code: 'EPROTO' }, 'a connection runs one vCPU');
  machine.vcpus[0].exits.push(exitOf(KVM_EXIT_HLT));
  await (await connect()).call(RUN);
});

t.test('a second call before the answer ends the connection', async (t) => {
  const { machine, connect } = await served(t);
  const client = await connect();
  const run = client.call(RUN);
  client.send({ call: 'vm' });
  await t.rejects(run, { code: 'EPROTO', message: 'one call at a time' });
  await client.closed;
  await until('the vCPU is free', () => machine.vcpus[0].runners === 0);
});

t.test('destroyed while it runs: all vCPUs stop before anything is given back', async (t) => {
  const { machine, connect, exited } = await served(t);
  const runners = [await connect(), await connect()];
  const runs = runners.map((client, vcpu) => client.call({ ...RUN, vcpu }));
  const ends = runs.map((run) => t.rejects(run, { code: 'ENXIO', message: /was destroyed/ }));
  await until('both run', () => machine.vcpus.every((vcpu) => vcpu.runners === 1));
  const client = await connect();
  await client.ask({ call: 'destroy' });
  await client.closed;
  await Promise.all(ends);
  t.equal(machine.closed, 1);
  t.equal(exited(), 1);
  await t.rejects((await connect()).call(RUN), { code: 'ENXIO' });
});

t.test('calls of another version are named as such', async (t) => {
  const { path } = await served(t);
  const socket = connect(path);
  for (const part of encodeFrame({ protocol: 2, call: 'vm' })) socket.write(part);
  const [answer] = (await once(socket, 'data')) as [Buffer];
  t.match(answer.toString('latin1'), /EPROTONOSUPPORT.*destroy the VM with the vmmctl/);
  socket.destroy();
});

t.test('whatever a client sends, the others are served', async (t) => {
  const { path, connect: join } = await served(t);
  const json = fc.oneof(
    fc.object({ maxDepth: 2 }),
    fc.record({
      protocol: fc.constantFrom(1, 2, null),
      call: fc.oneof(fc.constantFrom('vm', 'inspect', 'run', 'next', 'stop'), fc.string()),
      vcpu: fc.oneof(fc.integer(), fc.double(), fc.string()),
      at: fc.oneof(fc.integer(), fc.constant(null), fc.string()),
    }),
  );
  const frame = fc
    .tuple(json, fc.uint8Array({ maxLength: 16 }))
    .map(([value, binary]) => Buffer.concat(encodeFrame(value as object, binary)));
  const noise = fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(frame, noise), { maxLength: 6 }), async (parts) => {
      const socket = connect(path);
      socket.on('error', () => undefined).resume();
      const closed = once(socket, 'close');
      socket.end(Buffer.concat(parts));
      await closed;
    }),
    { numRuns: 200 },
  );
  const client = await join();
  t.match(await client.ask({ call: 'vm' }), { name: 'web1' });
});
