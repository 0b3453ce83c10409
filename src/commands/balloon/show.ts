/** `vmmctl balloon`: how large the balloons are, and how large they should be. */
import { VmmctlCommand } from '../../cli/command.js';
import { chooseRecords, showRecords, VM_ARGS } from '../vm-records.js';
import { balloonColumns, balloonReader, essential } from './records.js';

export default class Balloon extends VmmctlCommand<typeof Balloon> {
  static override summary = 'show the memory balloons of VMs';
  static override description =
    'A balloon is the memory that a guest gives back to its host. TARGET is what the host wants, ACTUAL what the\n' +
    'guest has given up; AVAILABLE is what it says that its programs could have, REPORTED how long ago it did.\n' +
    "With --in VM, or with --backend device, it is the guest's own view.";
  static override examples = [
    { description: 'The balloons of all VMs', command: 'vmmctl balloon' },
    {
      description: 'How much a guest has given up, in bytes',
      command: "vmmctl balloon web1 --json | jq '.[].actual'",
    },
    { description: "The guest's own view", command: 'vmmctl --in web1 balloon' },
  ];
  static override bounded = true;
  static override guestView = true;
  static override args = VM_ARGS;

  async run(): Promise<void> {
    const names = this.args.vm;
    const read = await balloonReader(this, names);
    const chosen = await chooseRecords(read, names, await this.backend());
    await showRecords(this, chosen, balloonColumns(this.io.now()), essential);
  }
}
