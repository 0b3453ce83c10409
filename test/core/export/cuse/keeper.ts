/** A simulated host as CUSE's nodes need it, without a disk and with virtual time. */
import type { HostKeeper } from '../../../../src/core/export/cuse/host-nodes.js';
import { testWorld } from '../../../helpers/world.js';

export interface TestKeeper extends HostKeeper {
  /** Lines of the log, the guests' included. */
  readonly lines: string[];
  /** Whether what changed can be written down. */
  diskFails: boolean;
  /** Lets virtual time pass, milliseconds. */
  pass(ms: number): void;
  create(name: string): void;
  destroy(name: string): void;
}

export function testKeeper(): TestKeeper {
  const { world, log, pass, create, destroy } = testWorld();
  const listeners = new Set<() => void>();
  const digest = () => {
    if (world.takeEvents().length > 0) for (const listener of [...listeners]) listener();
  };
  const keeper: TestKeeper = {
    world,
    lines: log,
    diskFails: false,
    log: { write: (text) => log.push(text) },
    pass,
    digest,
    durable: async () => {
      if (keeper.diskFails) throw new Error('the disk is full');
    },
    settled: () => undefined,
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    create: (name) => {
      create(name);
      digest();
    },
    destroy: (name) => {
      destroy(name);
      digest();
    },
  };
  return keeper;
}
