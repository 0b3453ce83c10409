/** A backend whose only node answers recorded bytes: for commands of a guest's side. */

import type { DeviceNode } from '../../../src/core/backend/port/node.js';
import type { Backend } from '../../../src/core/backend/port.js';
import { type RecordedCall, recordedMachine } from '../../helpers/tree-machine.js';

export interface Recorded {
  /** For `runLine`. */
  connect(): Promise<Backend>;
  /** Whether all was asked, and the backend was closed. */
  isDone(): boolean;
}

export function recordedBackend(calls: readonly RecordedCall[], path = '/dev/vboxguest'): Recorded {
  const { machine, isDone } = recordedMachine(path, calls);
  const open: DeviceNode[] = [];
  const backend: Backend = {
    uri: 'sim',
    machine: () => ({
      ...machine,
      open: async (name) => {
        const node = await machine.open(name);
        open.push(node);
        return node;
      },
    }),
    close: async () => {
      for (const node of open.splice(0)) await node.close();
    },
  };
  return { connect: async () => backend, isDone };
}
