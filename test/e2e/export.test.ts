import { existsSync, mkdirSync, rmdirSync, rmSync, statSync } from 'node:fs';
import t, { type Test } from 'tap';
import {
  decodeHeader,
  encodeHeader,
  opName,
  VIRTIO_VSOCK_OP_CREDIT_UPDATE,
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RW,
} from '../../src/core/abi/virtio-vsock.js';
import { ControlClient } from '../helpers/control-client.js';
import { type Host, simulatedHost, until } from '../helpers/host.js';
import { requireTool } from '../helpers/requires.js';
import { type Guest, queueAt, umlGuest } from '../helpers/vhost-setup.js';

const [RX, TX] = [0, 1];
const HEADER = 44;

interface Inspected {
  state: string;
  exports: { kind: string; path: string }[];
  counters: Record<string, number>;
}

async function inspect(host: Host, name: string): Promise<Inspected> {
  const [vm] = await host.json<Inspected[]>(['inspect', name]);
  if (vm === undefined) throw new Error(`no VM ${name}`);
  return vm;
}

async function exported(host: Host, ...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await host.run(['sim', 'export', ...args]);
  if (status !== 0) throw new Error(stderr);
  return stdout.toString().trimEnd();
}

/** The driver of a kernel: packets out, and packets in, as their operations and payloads. */
class Driver {
  readonly #guest: Guest;
  readonly #packets: string[] = [];

  constructor(guest: Guest) {
    this.#guest = guest;
    for (let n = 0; n < 8; n++) queueAt(guest.queues, RX).add([1024]);
  }

  async send(op: number, payload = new Uint8Array(0)): Promise<void> {
    const addresses = { srcCid: 3, srcPort: 1234, dstCid: 2, dstPort: 5000 };
    const credit = { bufAlloc: 65_536, fwdCnt: 0 };
    const header = { ...addresses, ...credit, len: payload.length, type: 1, op, flags: 0 };
    queueAt(this.#guest.queues, TX).add([encodeHeader(header), payload]);
    await this.#guest.kick(TX);
  }

  /** The next packet but for those about credit. */
  async next(): Promise<string> {
    await this.#guest.kick(RX);
    await until('a packet comes', () => {
      for (const { bytes, length } of queueAt(this.#guest.queues, RX).collect()) {
        const text = new TextDecoder().decode(bytes.subarray(HEADER, length));
        const { op } = decodeHeader(bytes);
        if (op !== VIRTIO_VSOCK_OP_CREDIT_UPDATE) this.#packets.push(`${opName(op)} ${text}`);
      }
      return this.#packets.length > 0;
    });
    return this.#packets.shift() ?? '';
  }
}

async function driver(t: Test, path: string): Promise<{ guest: Guest; driver: Driver }> {
  const guest = await umlGuest(t, path);
  return { guest, driver: new Driver(guest) };
}

t.test('what a VM is offered by', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const path = `${host.runtime}/web1.vhost-vsock`;

  await t.test('is printed, and listed, until it is taken back', async (t) => {
    t.equal(await exported(host, 'web1', '--vhost-user', 'vsock'), path);
    t.equal(statSync(path).mode & 0o777, 0o600);
    const both = await exported(
      host,
      'web1',
      '--vhost-user=vsock',
      '--vhost-user=balloon',
      '--unix',
    );
    t.same(both.split('\n'), [
      path,
      `${host.runtime}/web1.vhost-balloon`,
      `${host.runtime}/web1.vsock`,
    ]);
    t.same((await inspect(host, 'web1')).exports, [
      { kind: 'hybrid-vsock', path: `${host.runtime}/web1.vsock` },
      { kind: 'vhost-user-vsock', path },
      { kind: 'vhost-user-balloon', path: `${host.runtime}/web1.vhost-balloon` },
    ]);
    t.equal(await exported(host, 'web1', '--vhost-user', 'vsock', '--off'), '');
    t.notOk(existsSync(path));
    t.equal((await inspect(host, 'web1')).exports.length, 2);
    t.equal(
      await exported(host, 'web1', '--vhost-user', 'vsock', '--off'),
      '',
      'twice is no error',
    );
  });

  await t.test('goes with the VM', async (t) => {
    await host.run(['create', 'brief']);
    const balloon = await exported(host, 'brief', '--vhost-user', 'balloon');
    await host.run(['destroy', 'brief']);
    t.notOk(existsSync(balloon));
    t.match(await host.run(['sim', 'export', 'brief', '--unix']), { status: 3, stderr: /no VM/ });
  });

  await t.test('has a name with room in the path of a socket', async (t) => {
    const name = 'x'.repeat(120);
    await host.run(['create', name, '--cid', '77']);
    t.equal(
      await exported(host, name, '--vhost-user', 'vsock'),
      `${host.runtime}/cid-77.vhost-vsock`,
    );
    await host.run(['destroy', name]);
  });

  await t.test('comes back when the host starts anew', async (t) => {
    await exported(host, 'web1', '--vhost-user', 'vsock');
    await exported(host, 'web1', '--vhost-user', 'balloon', '--off');
    await killHost(host);
    t.ok(existsSync(path));
    t.equal((await inspect(host, 'web1')).exports.length, 2);
    const { frontend } = await umlGuest(t, path);
    frontend.close();
    t.match(await host.run(['sim', 'restart']), { status: 0 });
    t.same((await inspect(host, 'web1')).exports[1], { kind: 'vhost-user-vsock', path });
  });

  await t.test('does not when it was taken back', async (t) => {
    await exported(host, 'web1', '--vhost-user', 'vsock', '--off');
    t.match(await host.run(['sim', 'restart']), { status: 0 });
    t.equal((await inspect(host, 'web1')).exports.length, 1);
    t.notOk(existsSync(path));
  });

  await t.test('is tried again where it could not come back', async (t) => {
    await exported(host, 'web1', '--vhost-user', 'vsock');
    await killHost(host);
    rmSync(path);
    mkdirSync(path);
    t.equal((await inspect(host, 'web1')).exports.length, 1);
    const { stdout } = await host.run(['sim', 'log']);
    t.match(stdout.toString(), /cannot offer "web1" by vhost-user-vsock again: /);
    rmdirSync(path);
    t.match(await host.run(['sim', 'restart']), { status: 0 });
    t.equal((await inspect(host, 'web1')).exports.length, 2);
  });
});

async function killHost(host: Host): Promise<void> {
  process.kill(await host.daemon(), 'SIGKILL');
  await until('the host is gone', async () => {
    return !(await host.json<{ running: boolean }>(['sim', 'status'])).running;
  });
}

t.test('what is offered for a client', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const kinds = async () => (await inspect(host, 'web1')).exports.map(({ kind }) => kind).slice(1);
  const options = { name: 'web1', kind: 'vhost-user-vsock', forClient: true };
  const offer = async (client: ControlClient) => {
    t.match(await client.call('exportVm', options), { ok: { exported: {} } });
  };

  await t.test('ends with it', async (t) => {
    const client = await ControlClient.open(host);
    await offer(client);
    t.same(await kinds(), ['vhost-user-vsock']);
    client.close();
    await until('it is gone', async () => (await kinds()).length === 0);
    t.notOk(existsSync(`${host.runtime}/web1.vhost-vsock`));
  });

  await t.test('is for one client at a time', async (t) => {
    const clients = [await ControlClient.open(host), await ControlClient.open(host)] as const;
    const both = clients.map((client) => client.call('exportVm', options));
    const codes = (await Promise.all(both)).map(({ code }) => code);
    t.same(codes.toSorted(), ['EBUSY', undefined]);
    const [holder, other] = codes[0] === undefined ? clients : ([clients[1], clients[0]] as const);
    await other.call('unexportVm', options);
    t.match(await other.call('exportVm', options), { code: 'EBUSY' }, 'it was not its own');
    t.match(await holder.call('unexportVm', options), { code: undefined });
    t.same(await kinds(), []);
    await offer(other);
    other.close();
    await until('it is gone', async () => (await kinds()).length === 0);
  });

  await t.test('is refused while a kernel uses it', async (t) => {
    const path = await exported(host, 'web1', '--vhost-user', 'vsock');
    const { frontend } = await umlGuest(t, path);
    const client = await ControlClient.open(host);
    t.match(await client.call('exportVm', options), { code: 'EBUSY' });
    frontend.close();
    await offer(client);
    client.close();
    await exported(host, 'web1', '--vhost-user', 'vsock', '--off');
  });

  await t.test('does not come back when the host starts anew', async (t) => {
    await offer(await ControlClient.open(host));
    await killHost(host);
    t.same(await kinds(), []);
  });

  await t.test('is not its own when it was there before', async (t) => {
    await exported(host, 'web1', '--vhost-user', 'vsock');
    const client = await ControlClient.open(host);
    await offer(client);
    client.close();
    await host.run(['list']);
    t.same(await kinds(), ['vhost-user-vsock']);
    await exported(host, 'web1', '--vhost-user', 'vsock', '--off');
  });

  await t.test('stays when somebody else asks for it meanwhile', async (t) => {
    const client = await ControlClient.open(host);
    await offer(client);
    await exported(host, 'web1', '--vhost-user', 'vsock');
    client.close();
    t.match(await host.run(['sim', 'restart']), { status: 0 });
    t.same(await kinds(), ['vhost-user-vsock']);
  });

  await t.test('and was taken back, is not another one that came after it', async (t) => {
    await exported(host, 'web1', '--vhost-user', 'vsock', '--off');
    const [first, second] = [await ControlClient.open(host), await ControlClient.open(host)];
    await offer(first);
    await exported(host, 'web1', '--vhost-user', 'vsock', '--off');
    await offer(second);
    first.close();
    await host.run(['list']);
    t.same(await kinds(), ['vhost-user-vsock']);
    second.close();
    await until('it is gone', async () => (await kinds()).length === 0);
  });
});

t.test('a kernel that takes the socket device is the guest', async (t) => {
  if (process.platform !== 'linux' || !requireTool(t, 'bash')) return;
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const path = await exported(host, 'web1', '--vhost-user', 'vsock');
  const simulated = host.start(['--in', 'web1', 'vsock', 'listen', '7000']);
  await simulated.waitFor('listening');
  const waiting = ['events', 'wait', '--mask', 'cpu-hotplug', '--verbose'];
  const events = host.start(['--in', 'web1', ...waiting]);
  await events.waitFor('waiting for');
  const listener = host.start(['vsock', 'listen', '5000'], { openStdin: true });
  await listener.waitFor('listening');
  const kernel = await driver(t, path);
  await kernel.driver.send(VIRTIO_VSOCK_OP_REQUEST);
  t.equal(await kernel.driver.next(), 'RESPONSE ');

  t.equal((await inspect(host, 'web1')).state, 'running');
  t.match(await simulated.ended, { status: 7, stderr: /a real kernel runs in 'web1'/ });
  t.match(await events.ended, { status: 7, stderr: /a real kernel runs in 'web1'/ });
  const refused = await host.run(['--in', 'web1', 'vsock', 'list']);
  t.match(refused, { status: 7, stderr: /a real kernel runs in 'web1'.*EOPNOTSUPP/ });

  await kernel.driver.send(VIRTIO_VSOCK_OP_RW, new TextEncoder().encode('from the kernel\n'));
  await listener.waitForOutput('from the kernel');
  listener.stdin.write('to the kernel');
  t.equal(await kernel.driver.next(), 'RW to the kernel');
  kernel.guest.frontend.close();
  t.match(await listener.ended, { status: 6, stderr: /ECONNRESET/ });

  await host.until(['--in', 'web1', 'vsock', 'list'], ({ status }) => status === 0);
  t.equal((await inspect(host, 'web1')).state, 'created');
  const second = await driver(t, path);
  await second.driver.send(VIRTIO_VSOCK_OP_REQUEST);
  t.equal(await second.driver.next(), 'RST ', 'nobody listens any more');

  await t.test('until it breaks the rules', async (t) => {
    queueAt(second.guest.queues, TX).add([new Uint8Array(7)]);
    await second.guest.kick(TX);
    await second.guest.frontend.closed();
    const { state, counters } = await inspect(host, 'web1');
    t.equal(state, 'created');
    t.equal(counters.vsockResets, 1);
    const { stdout } = await host.run(['sim', 'log']);
    t.match(stdout.toString(), /thrown out .*: a packet of 7 bytes/);
  });

  await t.test('or its VM is destroyed', async () => {
    const third = await driver(t, path);
    await third.driver.send(VIRTIO_VSOCK_OP_REQUEST);
    await third.driver.next();
    await host.run(['destroy', 'web1']);
    await third.guest.frontend.closed();
  });
});
