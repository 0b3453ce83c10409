/** How the guest of a VM that is destroyed ends: whoever waits in it is told, and nobody else notices. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { SystemError } from '../../../src/core/abi/errno.js';
import type { Domain } from '../../../src/core/simulator/domain.js';
import { ROOT } from '../../../src/core/simulator/node.js';
import { boot, hangs, reinit, suspend, waitsForEvents } from '../../helpers/guest-calls.js';
import { testWorld } from '../../helpers/world.js';
import type { Call } from './vbox/driver/guest.js';

const MIB = 2 ** 20;

/** What no VM's log may have when it ends. */
const FALSE_LINE = /error|ENOMEM|can't/i;

t.test('whoever waits in the guest of a VM that is destroyed is told so', async (t) => {
  for (const lifetime of ['persistent', 'ephemeral']) {
    const lab = testWorld();
    lab.create('other');
    const other = boot(lab, 'other');
    const idle = lab.world.deadlines.size;
    const close = lifetime === 'ephemeral' ? lab.createEphemeral('web1') : undefined;
    if (close === undefined) lab.create('web1');
    const domain = boot(lab, 'web1');
    domain.vbox.setBalloon(200);
    domain.faults.set('agent-lag', 10, 60_000);
    lab.pass(20);
    const changes: string[] = [];
    domain.vbox.properties.onChange('', ({ name }) => changes.push(name));
    const calls = [hangs(domain), waitsForEvents(domain)];
    t.same(
      calls.map(({ code }) => code),
      ['waits', 'waits'],
    );
    lab.log.length = 0;
    if (close === undefined) lab.destroy('web1');
    else close();
    // The guest's own time goes on until somebody takes over that its VM is gone.
    lab.pass(5000);
    lab.world.settle();
    t.same(
      calls.map(({ code }) => code),
      ['ENODEV', 'ENODEV'],
      lifetime,
    );
    t.same(changes, [], 'the end of a VM is no change of a property');
    t.same(
      lab.log.filter((line) => FALSE_LINE.test(line)),
      [],
      lifetime,
    );
    lab.pass(10_000);
    t.equal(lab.world.deadlines.size, idle);
    t.equal(other.vbox.device.heartbeat.state, 'beating');
  }
});

t.test('a step of the end that fails keeps no other from being taken', async (t) => {
  const lab = testWorld();
  for (const name of ['one', 'two']) {
    lab.create(name);
    boot(lab, name);
  }
  lab.world.takeEvents();
  const one = lab.world.domain('one', ROOT);
  one.vbox.close = () => {
    throw new Error('a defect');
  };
  lab.destroy('one');
  lab.destroy('two');
  t.throws(() => lab.world.settle(), { message: 'a defect' });
  t.equal(lab.world.size, 0);
  t.equal(lab.world.network.guest(one.guest.cid ?? 0), undefined);
  t.same(
    lab.world.takeEvents().map(({ type, domain }) => `${type} ${domain.vm.name}`),
    ['destroyed one', 'destroyed two'],
  );
});

const NAMES = ['a', 'b', 'c'];
const KINDS = [
  'create',
  'destroy',
  'hang',
  'wait',
  'balloon',
  'fault',
  'suspend',
  'reinit',
  'pass',
];
const step = fc.record({
  kind: fc.constantFrom(...KINDS),
  name: fc.constantFrom(...NAMES),
  value: fc.integer({ min: 1, max: 400 }),
});

type Step = { kind: string; name: string; value: number };

function act(lab: ReturnType<typeof testWorld>, calls: Call[], { kind, name, value }: Step): void {
  const domain = (): Domain => lab.world.domain(name, ROOT);
  if (kind === 'create') {
    lab.create(name);
    boot(lab, name);
  } else if (kind === 'destroy') lab.destroy(name);
  else if (kind === 'hang') calls.push(hangs(domain()));
  else if (kind === 'wait') calls.push(waitsForEvents(domain()));
  else if (kind === 'balloon') domain().vbox.setBalloon(value);
  else if (kind === 'fault') {
    const faults = ['agent-stop', 'agent-refuse', 'balloon-refuse', 'heartbeat-stop'];
    domain().faults.set(faults[value % faults.length] ?? '', undefined, value);
  } else if (kind === 'suspend') suspend(lab, name, 1 + (value % 4));
  else if (kind === 'reinit') reinit(lab, name);
  else lab.pass(value * 10);
}

t.test('guests that come and go in any order leave nothing behind', async () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 60 }), (steps) => {
      const lab = testWorld();
      const calls: Call[] = [];
      for (const one of steps) {
        try {
          act(lab, calls, one);
        } catch (error) {
          if (!(error instanceof SystemError)) throw error;
        }
      }
      for (const { vm } of lab.world.domains(ROOT)) lab.destroy(vm.name);
      lab.world.settle();
      lab.pass(1000);
      assert.ok(
        calls.every(({ code }) => code !== 'waits'),
        'nobody waits for ever',
      );
      assert.equal(lab.world.deadlines.size, 0);
      assert.equal(lab.world.socketCount(), 0);
      assert.deepEqual(
        lab.log.filter((line) => FALSE_LINE.test(line)),
        [],
      );
    }),
    { numRuns: 200 },
  );
});

t.test('a guest that loses memory boots anew', async (t) => {
  const lab = testWorld();
  lab.create('web1');
  const domain = boot(lab, 'web1', 64 * MIB);
  const call = hangs(domain);
  domain.vm.memsegs.clear();
  domain.vm.memsegs.set(0, { segid: 0, len: BigInt(32 * MIB), name: '', path: '' });
  lab.world.vmm.changed(domain.vm);
  lab.world.settle();
  t.equal(call.code, 'ENODEV');
  lab.pass(10_000);
  t.equal(domain.vbox.device.statistics[0]?.memoryTotal, 32 * MIB);
  t.equal(domain.vbox.device.heartbeat.state, 'beating');
});
