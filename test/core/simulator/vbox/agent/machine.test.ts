/** The guest's agent with the real driver, the real device and the real services. */
import t from 'tap';
import { AgentMachine } from './machine.js';

function booted(): AgentMachine {
  const machine = new AgentMachine();
  machine.boot();
  return machine;
}

/** Statuses of the agent's facility, in the device's view. */
function status({ device }: AgentMachine): number | undefined {
  return device.guest.facilities.find(({ facility }) => facility === 100)?.status;
}

t.test('the host sees an active service, its properties and its statistics', async (t) => {
  const machine = booted();
  t.same(
    machine.guestLog.filter((line) => line.startsWith('vmmctl-agent')),
    [],
  );
  t.equal(status(machine), 50);
  t.equal(machine.device.guest.runLevel, 2);
  t.equal(machine.property('GuestInfo/OS/Product'), 'Linux');
  t.equal(machine.property('GuestInfo/OS/Version'), 'web1, simulated by vmmctl');
  t.equal(machine.property('GuestInfo/Net/Count'), '0');
  t.same(machine.properties.save(), [], 'nothing of it outlives the VM');
  t.equal(machine.device.hgcm.clients, 0, 'and the client is gone');
  t.equal(machine.device.statistics.length, 2);
  machine.advance(5000);
  t.equal(lastReport(machine).reportedAtMs, machine.clock.wallMs());
});

t.test('another interval of the host is followed at once', async (t) => {
  const machine = booted();
  machine.advance(7000);
  machine.device.setStatisticsInterval(1);
  machine.advance(0);
  machine.advance(1000);
  t.equal(lastReport(machine).reportedAtMs, machine.clock.wallMs());
});

t.test('the balloon grows while the agent lets its event through, and is reported', async (t) => {
  const machine = booted();
  machine.device.setBalloonTarget(10);
  machine.advance(5000);
  t.equal(machine.device.balloon.actualChunks, 10);
  t.equal(lastReport(machine).memoryBalloon, 10 * 2 ** 20);
});

t.test('agent-stop: the balloon waits until the agent is back', async (t) => {
  const machine = booted();
  machine.agent.halted = true;
  t.equal(status(machine), 101);
  t.equal(machine.device.guest.runLevel, 1);
  machine.device.setBalloonTarget(10);
  machine.advance(60_000);
  t.equal(machine.device.balloon.actualChunks, 0);
  machine.agent.halted = false;
  machine.advance(1000);
  t.equal(machine.device.balloon.actualChunks, 10);
  t.equal(status(machine), 50);
});

t.test('agent-refuse: the balloon waits, and no statistics come', async (t) => {
  const machine = booted();
  const before = machine.device.statistics;
  machine.agent.refusing = true;
  machine.device.setBalloonTarget(10);
  machine.advance(60_000);
  t.equal(machine.device.balloon.actualChunks, 0);
  t.same(machine.device.statistics, before);
  t.equal(status(machine), 50, 'the host sees it run');
  machine.agent.refusing = false;
  machine.advance(5000);
  t.equal(machine.device.balloon.actualChunks, 10);
  t.equal(lastReport(machine).reportedAtMs, machine.clock.wallMs());
});

t.test('after a reset of the machine all is told again', async (t) => {
  const machine = booted();
  machine.device.setBalloonTarget(10);
  machine.advance(5000);
  machine.reset();
  t.equal(machine.property('VMInfo/ResetCounter'), '1');
  t.equal(machine.property('GuestInfo/OS/Product'), 'Linux');
  t.equal(status(machine), 50);
  machine.advance(5000);
  t.equal(machine.device.statistics.length, 2);
  t.same(
    machine.guestLog.filter((line) => line.startsWith('vmmctl-agent')),
    [],
  );
});

t.test('without a driver there is no agent', async (t) => {
  const machine = new AgentMachine();
  machine.agent.start();
  t.notOk(machine.agent.running);
  t.match(machine.guestLog, [/can't open \/dev\/vboxguest: ENOENT/]);
});

t.test('a driver that is unloaded under the agent ends it without noise', async (t) => {
  const machine = booted();
  machine.driver.stop();
  machine.advance(60_000);
  machine.agent.stop();
  machine.advance(60_000);
  t.ok(machine.guestLog.filter((line) => line.startsWith('vmmctl-agent')).length <= 4);
});

function lastReport({ device }: AgentMachine) {
  const [first] = device.statistics;
  if (first === undefined) throw new Error('no report');
  return first;
}
