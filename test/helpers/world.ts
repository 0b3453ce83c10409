/** A simulated host as a whole, for tests. */
import { VirtualClock } from '../../src/core/simulator/clock.js';
import { type Caller, ROOT } from '../../src/core/simulator/node.js';
import { SeededRng } from '../../src/core/simulator/rng.js';
import { DEFAULT_VMM_CONFIG, type VmmConfig } from '../../src/core/simulator/vmm/config.js';
import { World } from '../../src/core/simulator/world.js';
import { pass } from './time.js';
import { create, DESTROY_ON_CLOSE, destroy } from './vmm.js';

/** @param vmm What its vmm(4) has other than by default. */
export function testWorld(vmm: Partial<VmmConfig> = {}) {
  const clock = new VirtualClock();
  const log: string[] = [];
  const world = new World({
    clock,
    rng: new SeededRng(1),
    profile: 'linux-6.12',
    policy: 'isolated',
    vmm: { ...DEFAULT_VMM_CONFIG, ...vmm },
    defers: false,
    log: (text) => log.push(text),
  });
  const control = () => world.host.open('/dev/vmmctl', ROOT, 'rw');
  return {
    clock,
    world,
    /** What the host has logged. */
    log,
    /** Lets time pass, and what is due in it happen. */
    pass(ms: number): void {
      pass(clock, world.deadlines, ms);
    },
    /** Creates a VM by the ioctl, as any program would. */
    create(name: string, caller: Caller = ROOT): void {
      create(world.host.open('/dev/vmmctl', caller, 'rw'), name);
    },
    /** Creates a VM that lives as long as its handle; closes the handle when called. */
    createEphemeral(name: string): () => void {
      const node = control();
      create(node, name, DESTROY_ON_CLOSE);
      return () => node.close();
    },
    destroy(name: string): void {
      destroy(control(), name);
    },
    /** Lets packets flow. */
    settle(): void {
      while (world.run(512));
    },
  };
}
