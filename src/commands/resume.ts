/** `vmmctl resume`: lets paused VMs run again. */
import { VmmctlCommand } from '../cli/command.js';
import { resumeVm } from '../core/client/vm-power.js';
import { actOnVms, POWER_ARGS, POWER_FLAGS } from './power.js';

export default class Resume extends VmmctlCommand<typeof Resume> {
  static override summary = 'let paused VMs run again';
  static override description =
    "The end of vmmctl suspend. A VM that was switched off can't be resumed; vmmctl reset lets it begin anew.";
  static override examples = [
    { description: 'Let a VM run again', command: 'vmmctl resume web1' },
    { description: 'One of its vCPUs', command: 'vmmctl resume web1 --vcpu 0' },
  ];
  static override bounded = true;
  static override args = POWER_ARGS;
  static override flags = POWER_FLAGS;

  async run(): Promise<void> {
    await actOnVms(this, this.args.name, resumeVm(this.flags.vcpu), 'resumed');
  }
}
