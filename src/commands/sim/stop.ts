/** `vmmctl sim stop`: ends a simulated host. */
import { VmmctlCommand } from '../../cli/command.js';
import { stopSimulator } from '../../core/backend/simulator/control.js';
import { simulatedHost } from './host.js';

export default class SimStop extends VmmctlCommand<typeof SimStop> {
  static override summary = 'stop the simulated host';
  static override description =
    'Connections are reset. VMs that stay come back at the next start, ephemeral ones are gone. Stopping one\n' +
    'that does not run is no error.';
  static override examples = [
    { description: 'Stop the simulated host', command: 'vmmctl sim stop' },
    { description: 'Stop another one', command: 'vmmctl sim stop --backend sim:test' },
  ];
  static override bounded = true;

  async run(): Promise<void> {
    const host = simulatedHost(this.backendUri);
    const stopped = await stopSimulator(host);
    if (this.flags.json) return this.json({ host, stopped });
    this.note(`simulated host '${host}' ${stopped ? 'stopped' : 'did not run'}`);
  }
}
