import t from 'tap';
import { VMM_IOCTLS, vm_activate_cpu } from '../../../src/core/abi/vmm.js';
import { SentMemory } from '../../../src/core/daemon/user-memory.js';
import { ROOT } from '../../../src/core/simulator/node.js';
import type { RealBalloon } from '../../../src/core/simulator/real-guest.js';
import type { Packet } from '../../../src/core/simulator/vsock/channel.js';
import type { RealDevice } from '../../../src/core/simulator/vsock/network.js';
import { testWorld } from '../../helpers/world.js';

/** A socket device whose driver has room for all. */
function device(): RealDevice & { packets: Packet[]; ports: number } {
  const packets: Packet[] = [];
  return {
    packets,
    ports: 0,
    room: () => 1000,
    take: (packet) => packets.push(packet),
    plugged() {
      this.ports++;
    },
    flush: () => undefined,
  };
}

const BALLOON: RealBalloon = {
  unit: 4096,
  target: 0,
  actual: 0,
  statistics: null,
  setTarget: () => undefined,
};

function guestWorld() {
  const lab = testWorld();
  lab.create('web1');
  const domain = lab.world.domain('web1', ROOT);
  lab.world.takeEvents();
  const events = () => lab.world.takeEvents().map(({ type }) => type);
  return { ...lab, domain, events };
}

t.test('a kernel takes the place of the simulated guest, and gives it back', async (t) => {
  const { world, domain, events, settle } = guestWorld();
  const { real, vbox } = domain;
  const node = domain.machine;
  t.notOk(real.isThere);
  const kernel = device();
  real.attachVsock(kernel);
  t.same(events(), ['changed']);
  t.ok(real.isThere);
  t.equal(kernel.ports, 1);
  t.throws(() => world.machine({ vm: 'web1' }, ROOT), {
    code: 'EOPNOTSUPP',
    message: /a real kernel runs in 'web1'/,
  });
  t.same([...vbox.nodes().keys()], [], 'the simulated driver is gone');
  world.host.stack.connect(world.host.stack.socket('stream', ROOT), { cid: 3, port: 1 });
  settle();
  t.equal(kernel.packets.length, 1);

  real.detachVsock(kernel);
  t.same(events(), ['changed']);
  t.notOk(real.isThere);
  t.equal(world.machine({ vm: 'web1' }, ROOT), node);
  const socket = world.host.stack.socket('stream', ROOT);
  world.host.stack.connect(socket, { cid: 3, port: 1 });
  settle();
  t.equal(socket.takeError(), 'ECONNRESET', 'nobody listens, but there is somebody to say so');
  t.equal(kernel.packets.length, 1);
});

t.test('it is there as long as one of its devices is', async (t) => {
  const { domain, events, world, settle } = guestWorld();
  const { real } = domain;
  const [kernel, balloon] = [device(), { ...BALLOON }];
  real.attachBalloon(balloon);
  t.same(events(), ['changed']);
  t.equal(real.balloon, balloon);
  const early = world.host.stack.socket('stream', ROOT);
  world.host.stack.connect(early, { cid: 3, port: 1 });
  settle();
  t.equal(early.state, 'connecting', 'it has no socket device yet, and nobody answers');
  real.attachVsock(kernel);
  real.detachVsock(kernel);
  t.ok(real.isThere);
  t.same(events(), []);
  real.detachBalloon(balloon);
  t.notOk(real.isThere);
  t.equal(real.balloon, undefined);
  real.detachBalloon(balloon);
  t.same(events(), ['changed'], 'once');
});

t.test("a real kernel can't be paused", async (t) => {
  const { domain, world } = guestWorld();
  const node = world.host.open('/dev/vmm/web1', ROOT, 'rw');
  const call = ({ number }: { number: number }, vcpuid: number) =>
    node.ioctl(number, vm_activate_cpu.encode({ vcpuid }), new SentMemory([]));
  call(VMM_IOCTLS.VM_ACTIVATE_CPU, 0);
  const kernel = device();
  domain.real.attachVsock(kernel);
  t.throws(() => call(VMM_IOCTLS.VM_SUSPEND_CPU, -1), {
    code: 'EOPNOTSUPP',
    message: "a real kernel runs in 'web1', and can't be paused",
  });
  domain.real.detachVsock(kernel);
  call(VMM_IOCTLS.VM_SUSPEND_CPU, -1);
  t.equal(domain.vm.state, 'suspended');
});

t.test('a real kernel runs on processors of its own', async (t) => {
  const { domain, world } = guestWorld();
  const node = world.host.open('/dev/vmm/web1', ROOT, 'rw');
  const kernel = device();
  domain.real.attachVsock(kernel);
  for (const { number, size } of [VMM_IOCTLS.VM_RUN, VMM_IOCTLS.VM_RUN_13]) {
    t.throws(() => node.ioctl(number, new Uint8Array(size), new SentMemory([])), {
      code: 'EOPNOTSUPP',
      message: "a real kernel runs in 'web1', on processors of its own",
    });
  }
  t.equal(domain.vm.runners.size, 0, 'nobody runs the VM by it');
});

t.test('a fault stays when the guest is another', async (t) => {
  const { domain } = guestWorld();
  domain.faults.set('vsock-stall');
  domain.real.attachVsock(device());
  t.equal(domain.guest.port?.down.stalled, true);
  domain.faults.clear();
  t.equal(domain.guest.port?.down.stalled, false);
});

t.test('another CID and a reset of the transport are told to the device', async (t) => {
  const { domain, world } = guestWorld();
  const kernel = device();
  domain.real.attachVsock(kernel);
  world.configure('web1', { cid: 9 }, ROOT);
  domain.faults.set('vsock-reset');
  t.equal(kernel.ports, 3);
  t.equal(domain.guest.port?.cid, 9);
});

t.test("a VM that is destroyed takes its kernel's devices with it", async (t) => {
  const { domain, destroy, world, events } = guestWorld();
  const kernel = device();
  domain.real.attachVsock(kernel);
  destroy('web1');
  t.same(events(), ['changed', 'destroyed']);
  domain.real.detachVsock(kernel);
  t.same(events(), [], 'and its leaving is no news');
  t.equal(world.network.guest(3), undefined);
  t.notOk(world.network.switch.busy);
});
