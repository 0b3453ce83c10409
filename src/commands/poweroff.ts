/** `vmmctl poweroff`: switches VMs off. */
import { VmmctlCommand } from '../cli/command.js';
import { powerOffVm } from '../core/client/vm-power.js';
import { actOnVms, POWER_ARGS } from './power.js';

export default class Poweroff extends VmmctlCommand<typeof Poweroff> {
  static override summary = 'switch VMs off';
  static override description =
    'Whoever runs the VM is told that it is suspended, for a power-off; the guest is not asked. The VM stays, with the\n' +
    'state suspended and the reason poweroff, until it is reset or destroyed.';
  static override examples = [
    { description: 'Switch two VMs off', command: 'vmmctl poweroff web1 web2' },
    { description: 'Which ones were', command: 'vmmctl poweroff web1 web2 --json' },
  ];
  static override bounded = true;
  static override args = POWER_ARGS;

  async run(): Promise<void> {
    await actOnVms(this, this.args.name, powerOffVm, 'poweredOff');
  }
}
