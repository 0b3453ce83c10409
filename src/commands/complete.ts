/** `vmmctl __complete vms`: names of VMs for the shells' completion. Never fails aloud, never starts a host. */
import { VmmctlCommand } from '../cli/command.js';
import { arg } from '../cli/flags.js';
import { simulatorStatus } from '../core/backend/simulator/control.js';
import { vmNames } from '../core/client/vm.js';
import { simulatedHost } from './sim/host.js';

/** How long somebody who pressed a key waits without --timeout, milliseconds. */
const BUDGET_MS = 150;

export default class Complete extends VmmctlCommand<typeof Complete> {
  static override summary = 'names for completion';
  static override hidden = true;
  static override examples = [
    { description: 'Names of VMs', command: 'vmmctl __complete vms' },
    { description: 'Those of another host', command: 'vmmctl __complete vms --backend sim:test' },
  ];
  static override args = { what: arg({ summary: 'what to complete', options: ['vms'] }) };

  async run(): Promise<void> {
    const late = new Promise<string[]>((resolve) => {
      setTimeout(() => resolve([]), this.flags.timeout ?? BUDGET_MS).unref();
    });
    const names = await Promise.race([this.#names().catch(() => []), late]);
    this.out(names.map((name) => `${name}\n`).join(''));
  }

  async #names(): Promise<string[]> {
    if (this.backendUri.startsWith('sim')) {
      const { running } = await simulatorStatus(simulatedHost(this.backendUri));
      if (!running) return [];
    }
    return vmNames(await this.backend());
  }
}
