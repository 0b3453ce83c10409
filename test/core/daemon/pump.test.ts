import t from 'tap';
import { Pump, type PumpListener } from '../../../src/core/daemon/pump.js';
import { VirtualClock } from '../../../src/core/simulator/clock.js';
import { testWorld } from '../../helpers/world.js';

t.test('a deadline that fails is told, and the others get their turn', async (t) => {
  const { world } = testWorld();
  const done: string[] = [];
  const listener: PumpListener = {
    deferred: () => undefined,
    timePassed: () => done.push('passed'),
    failed: (error) => done.push(String(error)),
  };
  const pump = new Pump(world, new VirtualClock(), listener);
  t.teardown(() => pump.stop());
  for (const name of ['one', 'two']) {
    world.deadlines.schedule(0, () => {
      throw new Error(name);
    });
  }
  world.deadlines.schedule(0, () => done.push('three'));
  pump.kick();
  t.same(done, ['Error: one', 'Error: two', 'three', 'passed']);
});
