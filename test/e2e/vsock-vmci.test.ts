/** VMs whose vsock is carried by VMCI, as users and programs meet them. */
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { simulatedHost } from '../helpers/host.js';

interface Details {
  vsockTransport: string;
  exports: { kind: string; path: string }[];
}

t.test('a VM with VMCI', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'vmw1', '--vsock-transport', 'vmci']);
  await host.run(['create', 'vmw2', '--vsock-transport', 'vmci']);
  await host.run(['create', 'kvm1']);
  const details = async (name: string) => {
    const [vm] = await host.json<Details[]>(['inspect', name]);
    if (vm === undefined) throw new Error(`there is no ${name}`);
    return vm;
  };
  const echo = ['--in', 'vmw1', 'vsock', 'listen', '7000', '--keep-open', '--exec', 'cat'];
  await host.start(echo).waitFor('listening');

  await t.test('says so', async (t) => {
    t.equal((await details('vmw1')).vsockTransport, 'vmci');
    t.equal((await details('kvm1')).vsockTransport, 'virtio');
  });

  await t.test('carries a file both ways, byte by byte', async (t) => {
    const bytes = Buffer.from(
      Array.from({ length: 2_000_000 }, (_, n) => (n * 7 + (n >> 9)) & 0xff),
    );
    const file = join(t.testdir(), 'file');
    writeFileSync(file, bytes);
    const sent = await host.run(['vsock', 'cat', 'vmw1:7000'], { input: readFileSync(file) });
    t.equal(sent.status, 0, sent.stderr.toString());
    t.ok(Buffer.from(sent.stdout).equals(bytes), 'to the guest, and back');
    const listener = host.start(['vsock', 'listen', '5000']);
    await listener.waitFor('listening');
    const from = ['--in', 'vmw1', 'vsock', 'cat', 'host:5000'];
    const client = await host.run(from, { input: bytes });
    t.equal(client.status, 0, client.stderr.toString());
    t.ok(Buffer.from((await listener.ended).stdout).equals(bytes), 'to the host');
  });

  await t.test('answers a ping, and is in the list', async (t) => {
    const ping = await host.run(['vsock', 'ping', 'vmw1', '7000', '--count', '2']);
    t.equal(ping.status, 0, ping.stderr.toString());
    const rows = await host.json<{ state: string }[]>(['--in', 'vmw1', 'vsock', 'list']);
    t.match(rows, [{ state: 'listen', local: { port: 7000 } }]);
  });

  await t.test('is reached through its Unix socket, and reaches those of others', async (t) => {
    const [hybrid] = (await details('vmw1')).exports;
    const socket = connect(hybrid?.path ?? '');
    socket.write('CONNECT 7000\nhello\n');
    let heard = '';
    for await (const chunk of socket) {
      heard += String(chunk);
      if (heard.endsWith('hello\n')) break;
    }
    t.match(heard, /^OK \d+\nhello\n$/);
  });

  await t.test('reaches no other VM, and none reaches it', async (t) => {
    for (const from of ['vmw1', 'kvm1']) {
      const args = ['--in', from, 'vsock', 'cat', 'vmw2:7000', '--timeout', '1s'];
      const { status } = await host.run(args, { input: '' });
      t.equal(status, 6, from);
    }
  });

  await t.test('says where nothing leads', async (t) => {
    const hypervisor = ['--in', 'vmw1', 'vsock', 'connect', '0', '5'];
    const words =
      /nothing leads to 0:5 from here \(EHOSTUNREACH, from VMCI_ERROR_INVALID_RESOURCE\)/;
    t.match(await host.run(hypervisor), { status: 6, stderr: words });
  });

  await t.test('makes no connection when its memory for queue pairs is used up', async (t) => {
    const all = ['--in', 'vmw1', 'vmci', 'queue', 'create', '64M'];
    const holder = host.start(all, { openStdin: true });
    await holder.waitFor('listening');
    const listener = host.start(['vsock', 'listen', '5001'], { openStdin: true });
    await listener.waitFor('listening');
    const toHost = await host.run(['--in', 'vmw1', 'vsock', 'cat', 'host:5001'], { input: '' });
    t.match(toHost, { status: 1, stderr: /no room for another connection.*\(ENOBUFS/ });
    const toGuest = await host.run(['vsock', 'cat', 'vmw1:7000'], { input: '' });
    t.match(toGuest, { status: 6, stderr: /or it takes no more \(ECONNRESET\)/ });
    for (const each of [holder, listener]) {
      each.kill('SIGINT');
      await each.ended;
    }
  });

  await t.test('refuses what VMCI has not', async (t) => {
    const seqpacket = ['vsock', 'connect', 'vmw1', '7000', '--type', 'seqpacket'];
    t.match(await host.run(seqpacket, { input: '' }), {
      status: 7,
      stderr: /no sockets of this type/,
    });
    const kernel = ['sim', 'export', 'vmw1', '--vhost-user', 'vsock'];
    t.match(await host.run(kernel), { status: 7, stderr: /carried by VMCI/ });
    const balloon = ['sim', 'export', 'vmw1', '--vhost-user', 'balloon'];
    t.match(await host.run(balloon), { status: 7, stderr: /carried by VMCI/ });
    const lossy = ['sim', 'fault', 'vmw1', 'drop-packets=10%'];
    t.match(await host.run(lossy), { status: 7, stderr: /no packets/ });
  });

  await t.test('can be stalled, and its connections reset', async (t) => {
    const ping = ['vsock', 'ping', 'vmw1', '7000', '--count', '1', '--timeout', '1s'];
    await host.run(['sim', 'fault', 'vmw1', 'vsock-stall']);
    t.equal((await host.run(ping)).status, 6);
    await host.run(['sim', 'fault', 'vmw1', '--clear']);
    t.equal((await host.run(ping)).status, 0);
    const joined = host.start(['vsock', 'connect', 'vmw1', '7000'], { openStdin: true });
    joined.stdin.write('hello\n');
    await joined.waitForOutput('hello');
    await host.run(['sim', 'fault', 'vmw1', 'vsock-reset']);
    t.match(await joined.ended, { status: 6, stderr: /\(ECONNRESET/ });
  });

  await t.test('carries datagrams', async (t) => {
    const listener = ['--in', 'vmw1', 'vsock', 'listen', '9000', '--type', 'dgram'];
    const server = host.start(listener);
    await server.waitFor('listening');
    const sent = ['vsock', 'connect', 'vmw1', '9000', '--type', 'dgram'];
    t.equal((await host.run(sent, { input: 'ping' })).status, 0);
    await server.waitForOutput('ping');
    const nobody = ['vsock', 'connect', '77', '9000', '--type', 'dgram'];
    t.match(await host.run(nobody, { input: 'ping' }), {
      status: 6,
      stderr: /nothing leads to 77:9000 from here \(EHOSTUNREACH/,
    });
    const late = await host.run([
      'vsock',
      'listen',
      '9001',
      '--type',
      'dgram',
      '--timeout',
      '50ms',
    ]);
    t.match(late, { status: 6, stderr: /not done within 50ms \(ETIMEDOUT\)/ });
  });

  await t.test('keeps its transport when the host starts anew', async (t) => {
    await host.run(['sim', 'stop']);
    t.equal((await details('vmw1')).vsockTransport, 'vmci');
    t.equal((await details('kvm1')).vsockTransport, 'virtio');
  });
});
