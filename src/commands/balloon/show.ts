/** `vmmctl balloon`: how large the balloons are, and how large they should be. */
import { VmmctlCommand } from '../../cli/command.js';
import { args } from '../../cli/flags.js';
import { formatSize } from '../../cli/parse.js';
import { escapeControls } from '../../cli/view/escape.js';
import type { BalloonRecord } from '../../core/backend/port.js';
import { vmName } from '../vm-name.js';
import { chooseRecords } from '../vm-records.js';
import { balloonColumns, balloonReader } from './records.js';

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
  static override args = {
    vm: args({ summary: 'names of VMs; all when left out', convert: vmName }),
  };

  async run(): Promise<void> {
    const names = this.args.vm;
    const read = await balloonReader(this, names);
    const { found, missing } = await chooseRecords(read, names, await this.backend());
    for (const error of missing) this.fail(error);
    await this.#show(found);
  }

  async #show(records: readonly BalloonRecord[]): Promise<void> {
    if (this.flags.json) {
      if (this.status === 0) this.json(records);
      return;
    }
    if (this.flags.quiet) return this.out(records.map(essential).join(''));
    await this.table(records, balloonColumns(this.io.now()));
  }
}

/** A guest doesn't know the name of its VM. */
function essential({ vm, actual }: BalloonRecord): string {
  return `${escapeControls(vm ?? (actual === null ? '-' : formatSize(actual)))}\n`;
}
