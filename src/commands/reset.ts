/** `vmmctl reset`: lets VMs begin anew. */
import { VmmctlCommand } from '../cli/command.js';
import { resetVm } from '../core/client/vm-power.js';
import { actOnVms, POWER_ARGS } from './power.js';

export default class Reset extends VmmctlCommand<typeof Reset> {
  static override summary = 'reset VMs';
  static override description =
    'Whoever runs the VM is told that it is suspended, for a reset; then it is as new, but for its memory and CPUs.\n' +
    'That is also how a VM begins anew that was switched off or has halted.';
  static override examples = [
    { description: 'Reset a VM', command: 'vmmctl reset web1' },
    { description: 'Reset two VMs, and say so', command: 'vmmctl reset web1 web2 --verbose' },
  ];
  static override bounded = true;
  static override args = POWER_ARGS;

  async run(): Promise<void> {
    await actOnVms(this, this.args.name, resetVm, 'reset');
  }
}
