/** What becomes of a VM's guest when the VM is switched off or reset. */
import t from 'tap';
import { vm_suspend_how } from '../../../src/core/abi/vmm-machine.js';
import type { Domain } from '../../../src/core/simulator/domain.js';
import { ROOT } from '../../../src/core/simulator/node.js';
import { boot, hangs, reinit, suspend, waitsForEvents } from '../../helpers/guest-calls.js';
import { testWorld } from '../../helpers/world.js';

const COUNTER = '/VirtualBox/VMInfo/ResetCounter';
const { VM_SUSPEND_RESET, VM_SUSPEND_POWEROFF, VM_SUSPEND_HALT, VM_SUSPEND_TRIPLEFAULT } =
  vm_suspend_how;

function booted(transport: 'virtio' | 'vmci' = 'virtio') {
  const lab = testWorld();
  lab.create('web1');
  const domain = boot(lab, 'web1');
  lab.world.configure('web1', { cid: 7, vsockTransport: transport }, ROOT);
  const { properties } = domain.vbox;
  properties.set('/kept', '1');
  properties.set('/off', '1', 'TRANSIENT');
  properties.set('/reset', '1', 'TRANSRESET');
  lab.pass(1000);
  return { lab, domain };
}

/** The value of a property, or nothing. */
function value({ vbox }: Domain, name: string): string | undefined {
  const found = vbox.properties.get(name);
  return typeof found === 'number' ? undefined : found.value;
}

function values(domain: Domain) {
  return [...['/kept', '/off', '/reset', COUNTER].map((name) => value(domain, name))];
}

t.test('a reset: the guest boots anew, and the host has counted it', async (t) => {
  for (const settles of [true, false]) {
    const { lab, domain } = booted();
    domain.vbox.setBalloon(64);
    lab.pass(1000);
    const calls = [hangs(domain), waitsForEvents(domain)];
    if (settles) suspend(lab, 'web1', VM_SUSPEND_RESET);
    reinit(lab, 'web1');
    t.same(
      calls.map(({ code }) => code),
      ['ENODEV', 'ENODEV'],
    );
    t.same(values(domain), ['1', '1', undefined, '1']);
    t.equal(value(domain, '/VirtualBox/GuestInfo/OS/Product'), 'Linux', 'the agent runs again');
    t.match(domain.vbox.device.balloon, { targetChunks: 64, actualChunks: 0 });
    lab.pass(10_000);
    t.match(domain.vbox.device.balloon, { targetChunks: 64, actualChunks: 64 });
    t.equal(domain.vbox.device.heartbeat.state, 'beating');
    t.equal(hangs(domain).code, 'waits');
  }
});

t.test('a VM that is switched off has no guest until it is reset', async (t) => {
  for (const how of [VM_SUSPEND_POWEROFF, VM_SUSPEND_HALT, VM_SUSPEND_TRIPLEFAULT]) {
    const { lab, domain } = booted();
    const node = domain.machine.open('/dev/vboxguest', ROOT, 'rw');
    suspend(lab, 'web1', how);
    t.same(values(domain), ['1', undefined, undefined, '0']);
    t.match(domain.vbox.device.heartbeat, { enabled: false, state: 'off' });
    t.same(domain.vbox.device.statistics, []);
    t.throws(() => node.ioctl(0xc018560b, new Uint8Array(24)), { code: 'ENODEV' });
    t.throws(() => lab.world.machine({ vm: 'web1' }, ROOT), {
      code: 'ENODEV',
      message: /the guest 'web1' is off \((poweroff|halt|triplefault)\)/,
      hint: /vmmctl reset web1/,
    });
    domain.vbox.setBalloon(10);
    lab.pass(10_000);
    t.equal(domain.vbox.device.balloon.actualChunks, 0);
    reinit(lab, 'web1');
    lab.pass(10_000);
    t.equal(domain.vbox.device.balloon.actualChunks, 10);
    t.equal(domain.vbox.device.heartbeat.state, 'beating');
    t.equal(value(domain, COUNTER), '0', 'to be switched on is no reset');
    t.equal(lab.world.machine({ vm: 'web1' }, ROOT), domain.machine);
  }
});

t.test('connections and listeners of the guest end with it', async (t) => {
  for (const transport of ['virtio', 'vmci'] as const) {
    const { lab, domain } = booted(transport);
    const { stack: host } = lab.world.host;
    const listens = () => {
      const socket = domain.guest.stack.socket('stream', ROOT);
      domain.guest.stack.bind(socket, { cid: 0xffffffff, port: 22 });
      domain.guest.stack.listen(socket, 1);
      return socket;
    };
    const connects = () => {
      const socket = host.socket('stream', ROOT);
      host.connect(socket, { cid: 7, port: 22 });
      lab.settle();
      return socket;
    };
    const listener = listens();
    const client = connects();
    t.equal(client.state, 'connected');
    suspend(lab, 'web1', VM_SUSPEND_POWEROFF);
    lab.settle();
    t.equal(listener.takeError(), 'ECONNRESET', transport);
    t.throws(() => client.recv(1), { code: 'ECONNRESET' });
    t.not(connects().state, 'connected');
    reinit(lab, 'web1');
    listens();
    t.equal(connects().state, 'connected', transport);
    t.equal(domain.guest.transport, transport);
    t.equal(domain.guest.cid, 7);
  }
});

t.test('the kernel of VMCI begins anew, with its context', async (t) => {
  const { lab, domain } = booted();
  const { driver } = domain.vmci;
  suspend(lab, 'web1', VM_SUSPEND_RESET);
  reinit(lab, 'web1');
  t.not(domain.vmci.driver, driver);
  t.equal(domain.vmci.kernel?.cid, 7);
});

t.test('a fault outlives a reset', async (t) => {
  const { lab, domain } = booted();
  domain.faults.set('vsock-stall');
  reinit(lab, 'web1');
  t.equal(domain.guest.port?.down.stalled, true);
});

t.test('where a real kernel runs the VM may be switched as it likes', async (t) => {
  const { lab, domain } = booted();
  const balloon = {
    unit: 4096,
    target: 0,
    actual: 0,
    statistics: null,
    setTarget: () => undefined,
  };
  domain.real.attachBalloon(balloon);
  t.equal(value(domain, COUNTER), '1', 'it has booted in the place of the other');
  suspend(lab, 'web1', VM_SUSPEND_POWEROFF);
  t.same(values(domain), ['1', '1', undefined, '1']);
  t.throws(() => lab.world.machine({ vm: 'web1' }, ROOT), { code: 'EOPNOTSUPP' });
  domain.real.detachBalloon(balloon);
  t.throws(() => lab.world.machine({ vm: 'web1' }, ROOT), { code: 'ENODEV' });
  t.equal(value(domain, '/off'), undefined);
  t.notOk(domain.vbox.driver.running);
  reinit(lab, 'web1');
  t.ok(domain.vbox.driver.running);
  t.equal(value(domain, COUNTER), '0');
});
