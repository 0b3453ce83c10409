/** `vmmctl sim restart`: ends a simulated host and starts it with the options it had. */
import { VmmctlCommand } from '../../cli/command.js';
import { startSimulator, stopSimulator } from '../../core/backend/simulator/control.js';
import { simulatedHost } from './host.js';

export default class SimRestart extends VmmctlCommand<typeof SimRestart> {
  static override summary = 'restart the simulated host';
  static override description =
    'As after a power cut: VMs that stay are there again with their sizes, CIDs and labels, their guests have\n' +
    'rebooted. The options of the host stay as they were.';
  static override examples = [
    { description: 'Restart the simulated host', command: 'vmmctl sim restart' },
    { description: 'Restart another one', command: 'vmmctl sim restart --backend sim:test' },
  ];
  static override bounded = true;

  async run(): Promise<void> {
    const host = simulatedHost(this.backendUri);
    await stopSimulator(host);
    const work = startSimulator(host, {});
    const status = await this.progress('restarting the simulated host', work);
    if (this.flags.json) return this.json(status);
    this.note(`simulated host '${host}' restarted (process ${status.pid})`);
  }
}
