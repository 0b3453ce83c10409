/** The guests of a simulated host: when they boot, what goes wrong with them, and what of them outlives the host. */
import t from 'tap';
import {
  VBG_IOCTL_WAIT_FOR_EVENTS,
  vbg_ioctl_wait_for_events_in,
} from '../../../src/core/abi/vboxguest.js';
import type { Domain, SavedVm } from '../../../src/core/simulator/domain.js';
import { PendingIoctl, ROOT } from '../../../src/core/simulator/node.js';
import { allocMemseg } from '../../helpers/vmm.js';
import { testWorld } from '../../helpers/world.js';

const MIB = 2 ** 20;
const SYSFS = '/sys/bus/pci/drivers/vboxguest/0000:00:04.0';

type TestWorld = ReturnType<typeof testWorld>;

/** A VM with memory, whose guest has booted. */
function booted(lab: TestWorld, name: string, memory = 512 * MIB): Domain {
  lab.create(name);
  allocMemseg(lab.world.host.open(`/dev/vmm/${name}`, ROOT, 'rw'), 0, BigInt(memory));
  const domain = lab.world.domain(name, ROOT);
  lab.pass(0);
  return domain;
}

function waitsForEvents({ machine }: Domain): PendingIoctl {
  const argument = new Uint8Array(32);
  argument.set(
    vbg_ioctl_wait_for_events_in.encode({
      hdr: { size_in: 32, version: 0x10001, type: 0, rc: 0, size_out: 28, reserved: 0 },
      timeout_ms: 0xffffffff,
      events: 4,
    }),
  );
  const node = machine.open('/dev/vboxuser', ROOT, 'rw');
  const pending = node.ioctl(VBG_IOCTL_WAIT_FOR_EVENTS, argument);
  if (pending instanceof PendingIoctl) return pending;
  throw new Error('the call did not wait');
}

/** What a new host makes of what an old one has saved. */
function broughtBack(saved: SavedVm): { lab: TestWorld; domain: Domain } {
  const lab = testWorld();
  lab.world.restore(JSON.parse(JSON.stringify(saved)));
  lab.pass(0);
  return { lab, domain: lab.world.domain(saved.name, ROOT) };
}

t.test('a guest boots when its VM gets memory, and has its nodes and files then', async (t) => {
  const lab = testWorld();
  lab.create('web1');
  const { machine } = lab.world.domain('web1', ROOT);
  t.same(machine.readdir('/dev'), ['vsock', 'vmci']);
  t.throws(() => machine.open('/dev/vboxguest', ROOT, 'rw'), { code: 'ENOENT' });
  t.throws(() => machine.readFile(`${SYSFS}/host_version`), { code: 'ENOENT' });
  allocMemseg(lab.world.host.open('/dev/vmm/web1', ROOT, 'rw'), 0, BigInt(64 * MIB));
  lab.world.settle();
  t.same(machine.readdir('/dev'), ['vsock', 'vmci', 'vboxguest', 'vboxuser']);
  t.same(machine.readdir('/sys/bus/pci/drivers/vboxguest'), ['0000:00:04.0']);
  t.same(machine.readdir(SYSFS), ['host_version', 'host_features']);
  t.equal(Buffer.from(machine.readFile(`${SYSFS}/host_version`)).toString(), '7.0.14r161095\n');
  t.equal(Buffer.from(machine.readFile(`${SYSFS}/host_features`)).toString(), '0x8000000f\n');
  t.throws(() => machine.readdir(`${SYSFS}/host_version`), { code: 'ENOTDIR' });
  t.throws(() => machine.readdir('/sys/bus/pci/drivers/other'), { code: 'ENOENT' });
});

t.test('memory that comes later is in the next statistics', async (t) => {
  const lab = testWorld();
  const { vbox } = booted(lab, 'web1', 64 * MIB);
  const total = () => vbox.device.statistics[0]?.memoryTotal;
  t.equal(total(), 64 * MIB);
  allocMemseg(lab.world.host.open('/dev/vmm/web1', ROOT, 'rw'), 1, BigInt(64 * MIB));
  lab.world.settle();
  lab.pass(0);
  t.equal(total(), 128 * MIB);
});

t.test(
  'a guest without memory for its driver does not boot, and the log says so once',
  async (t) => {
    const lab = testWorld();
    const { vbox } = booted(lab, 'web1', 4096);
    lab.world.configure('web1', { labels: { a: 'b' } }, ROOT);
    lab.pass(10_000);
    t.notOk(vbox.driver.running);
    const lines = lab.log.filter((line) => line.includes('vboxguest does not start'));
    t.same(lines, ['web1: guest: vboxguest does not start (ENOMEM)']);
  },
);

t.test(
  'a VM that is destroyed ends the calls that wait in it, and leaves nothing to do',
  async (t) => {
    const lab = testWorld();
    const idle = lab.world.deadlines.size;
    const domain = booted(lab, 'web1');
    domain.vbox.setBalloon(200);
    domain.faults.set('balloon-lag', 1000, 60_000);
    lab.pass(10);
    const waiting = waitsForEvents(domain);
    lab.destroy('web1');
    lab.world.settle();
    t.ok(waiting.finished);
    lab.pass(10);
    t.equal(lab.world.deadlines.size, idle);
  },
);

t.test('the balloon of one guest is no matter of another', async (t) => {
  const lab = testWorld();
  const [one, other] = [booted(lab, 'one'), booted(lab, 'other')];
  one.vbox.setBalloon(256);
  lab.pass(1000);
  t.same(one.vbox.device.balloon, { targetChunks: 256, actualChunks: 256 });
  t.same(other.vbox.device.balloon, { targetChunks: 0, actualChunks: 0 });
  t.equal(one.vbox.driver.balloonChunks, 256, 'both sides agree');
});

t.test(
  'heartbeat-stop: late, flatlined, and back; one line of the log each, and no reset',
  async (t) => {
    const lab = testWorld();
    const { vbox, faults } = booted(lab, 'web1');
    const state = () => vbox.device.heartbeat.state;
    lab.pass(10_000);
    t.equal(state(), 'beating');
    lab.log.length = 0;
    faults.set('heartbeat-stop', undefined, 3_600_000);
    lab.pass(2600);
    t.equal(state(), 'late');
    lab.pass(2000);
    t.equal(state(), 'flatlined');
    lab.pass(3_600_000);
    t.equal(state(), 'beating');
    t.equal(vbox.device.heartbeat.misses, 1);
    t.equal(lab.log.length, 2);
    t.match(lab.log[0], /^web1: VMMDev: .*unresponsive/);
    t.match(lab.log[1], /^web1: VMMDev: .*alive/);
    t.ok(vbox.device.guest.isReady, 'nothing has reset the guest');
  },
);

t.test('an hour of a thousand heartbeats', async (t) => {
  const lab = testWorld();
  const domain = booted(lab, 'web1');
  lab.pass(3_600_000);
  t.equal(domain.vbox.device.heartbeat.beats, 1801);
  t.equal(domain.vbox.device.heartbeat.misses, 0);
});

t.test('another interval holds at once', async (t) => {
  const lab = testWorld();
  const { vbox } = booted(lab, 'web1');
  lab.pass(10_000);
  vbox.setHeartbeat({ intervalMs: 100 });
  lab.pass(0);
  const { beats } = vbox.device.heartbeat;
  lab.pass(1000);
  t.equal(vbox.device.heartbeat.beats - beats, 10);
  vbox.setHeartbeat({ enabled: false });
  t.match(vbox.device.heartbeat, { enabled: false, state: 'off' });
  vbox.setHeartbeat({ enabled: true });
  lab.pass(100);
  t.match(vbox.device.heartbeat, { enabled: true, state: 'beating', intervalMs: 100 });
  t.throws(() => vbox.setHeartbeat({ intervalMs: 1 }), { code: 'EINVAL' });
  t.equal(vbox.device.heartbeat.intervalMs, 100);
});

t.test(
  'balloon-refuse: the guest stops with what it has, and goes on when asked again',
  async (t) => {
    const lab = testWorld();
    const { vbox, faults } = booted(lab, 'web1');
    vbox.setBalloon(200);
    lab.pass(100);
    faults.set('balloon-refuse');
    lab.pass(10_000);
    const { actualChunks } = vbox.device.balloon;
    t.ok(actualChunks > 0 && actualChunks < 200, String(actualChunks));
    t.equal(vbox.driver.balloonChunks, actualChunks);
    faults.clear('balloon-refuse');
    lab.pass(10_000);
    t.equal(vbox.device.balloon.actualChunks, actualChunks, 'nobody has asked again');
    vbox.setBalloon(201);
    lab.pass(10_000);
    t.equal(vbox.device.balloon.actualChunks, 201);
  },
);

t.test('balloon-lag: each chunk takes so long', async (t) => {
  const lab = testWorld();
  const { vbox, faults } = booted(lab, 'web1');
  faults.set('balloon-lag', 100);
  vbox.setBalloon(50);
  lab.pass(1000);
  const { actualChunks } = vbox.device.balloon;
  t.ok(actualChunks >= 9 && actualChunks <= 11, String(actualChunks));
});

t.test('agent-stop and agent-refuse: the balloon waits for the agent', async (t) => {
  for (const kind of ['agent-stop', 'agent-refuse']) {
    const lab = testWorld();
    const { vbox, faults } = booted(lab, 'web1');
    faults.set(kind, undefined, 60_000);
    vbox.setBalloon(10);
    lab.pass(59_000);
    t.equal(vbox.device.balloon.actualChunks, 0, kind);
    lab.pass(2000);
    t.equal(vbox.device.balloon.actualChunks, 10, kind);
  }
});

t.test('vsock-stall, drop-packets and vsock-reset act on the switch', async (t) => {
  const lab = testWorld();
  const { guest, faults } = booted(lab, 'web1');
  const stalled = () => [guest.port?.up.stalled, guest.port?.down.stalled];
  faults.set('vsock-stall');
  t.same(stalled(), [true, true]);
  lab.world.configure('web1', { cid: 99 }, ROOT);
  t.same(stalled(), [true, true], 'also with another CID');
  faults.set('vsock-reset');
  t.same(stalled(), [true, true], 'also after a reset');
  faults.clear('vsock-stall');
  t.same(stalled(), [false, false]);
  faults.set('drop-packets', 1);
  t.equal(guest.port?.up.loses?.(), true);
  faults.set('drop-packets', 0);
  t.equal(guest.port?.up.loses?.(), false);
  faults.clear();
  t.equal(guest.port?.up.loses, undefined);
});

t.test(
  'what the host wants of a guest outlives the host, what the guest has does not',
  async (t) => {
    const lab = testWorld();
    const { vbox } = booted(lab, 'web1');
    vbox.setBalloon(64);
    vbox.setHeartbeat({ intervalMs: 500 });
    t.equal(vbox.properties.set('/app/color', 'blue'), 0);
    t.equal(vbox.properties.set('/app/brief', 'gone', 'TRANSIENT'), 0);
    lab.pass(1000);
    const { domain, lab: next } = broughtBack(lab.world.save(lab.world.domain('web1', ROOT)));
    t.match(domain.vbox.properties.get('/app/color'), { value: 'blue' });
    t.type(domain.vbox.properties.get('/app/brief'), 'number');
    t.match(domain.vbox.properties.get('/VirtualBox/GuestInfo/OS/Product'), { value: 'Linux' });
    t.equal(domain.vbox.device.heartbeat.intervalMs, 500);
    t.equal(domain.vbox.device.heartbeat.timeoutMs, 1000, 'twice the interval still');
    t.equal(domain.vbox.device.balloon.targetChunks, 64);
    next.pass(1000);
    t.equal(domain.vbox.device.balloon.actualChunks, 64);
  },
);

t.test('changes that are kept are events, others are none', async (t) => {
  const lab = testWorld();
  const { vbox } = booted(lab, 'web1');
  const changes = () => lab.world.takeEvents().filter(({ type }) => type === 'changed').length;
  changes();
  lab.pass(10_000);
  t.equal(changes(), 0, 'beats and statistics');
  vbox.properties.set('/app/brief', 'gone', 'TRANSIENT');
  t.equal(changes(), 0, 'a transient property');
  vbox.properties.set('/app/color', 'blue');
  t.equal(changes(), 1);
  vbox.properties.delete('/app/color');
  t.equal(changes(), 1);
  vbox.setBalloon(1);
  t.equal(changes(), 1);
  vbox.setHeartbeat({ intervalMs: 500 });
  t.equal(changes(), 1);
});

t.test('a VM whose saved guest makes no sense is not brought back', async (t) => {
  const lab = testWorld();
  booted(lab, 'web1');
  const saved = lab.world.save(lab.world.domain('web1', ROOT));
  const bad = { name: 'x'.repeat(100), value: '', timestamp: '0', flags: '' };
  const { world } = testWorld();
  const vbox = { balloon: 0, heartbeat: {}, properties: [bad] };
  t.throws(() => world.restore({ ...saved, vbox }), RangeError);
  t.equal(world.size, 0);
});
