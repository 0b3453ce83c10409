/** `vmmctl sim status`: whether a simulated host runs, and what it holds. */
import { VmmctlCommand } from '../../cli/command.js';
import { simulatorStatus } from '../../core/backend/simulator/control.js';
import { simulatedHost, statusPage } from './host.js';

export default class SimStatus extends VmmctlCommand<typeof SimStatus> {
  static override summary = 'show the state of the simulated host';
  static override description =
    'Asking does not start it. The exit status is 0 whether it runs or not.';
  static override examples = [
    { description: 'All about it', command: 'vmmctl sim status' },
    { description: 'Its process, for a script', command: 'vmmctl sim status --json | jq .pid' },
  ];
  static override bounded = true;

  async run(): Promise<void> {
    const status = await simulatorStatus(simulatedHost(this.backendUri));
    if (this.flags.json) return this.json(status);
    if (this.flags.quiet) return this.out(status.running ? 'running\n' : 'stopped\n');
    this.out(statusPage(status));
  }
}
