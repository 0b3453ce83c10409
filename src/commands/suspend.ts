/** `vmmctl suspend`: pauses VMs. */
import { VmmctlCommand } from '../cli/command.js';
import { pauseVm } from '../core/client/vm-power.js';
import { actOnVms, POWER_ARGS, POWER_FLAGS } from './power.js';

export default class Suspend extends VmmctlCommand<typeof Suspend> {
  static override summary = 'pause VMs';
  static override description =
    'The active vCPUs run no more of their guests until vmmctl resume; whoever runs them waits. The state of the VM is\n' +
    "suspended then, and the reason paused. A VM that can't be paused does not keep\n" +
    'the others from it.';
  static override examples = [
    { description: 'Pause a VM', command: 'vmmctl suspend web1' },
    { description: 'Pause one of its vCPUs', command: 'vmmctl suspend web1 --vcpu 0' },
  ];
  static override bounded = true;
  static override args = POWER_ARGS;
  static override flags = POWER_FLAGS;

  async run(): Promise<void> {
    await actOnVms(this, this.args.name, pauseVm(this.flags.vcpu), 'paused');
  }
}
