/** `vmmctl balloon watch`: the balloons as they move. */
import { VmmctlCommand } from '../../cli/command.js';
import { VM_ARGS, watchedVms } from '../vm-records.js';
import { WATCH_FLAGS, watchRecords } from '../watch.js';
import { balloonColumns, balloonReader, essential } from './records.js';

export default class BalloonWatch extends VmmctlCommand<typeof BalloonWatch> {
  static override summary = 'watch the memory balloons of VMs';
  static override description =
    'A terminal shows the balloons with a plot of their sizes, until Ctrl-C. Elsewhere there is a line for each\n' +
    'one that has changed, with the time, and with --json the whole array on a line when something has.';
  static override examples = [
    { description: 'Watch two balloons', command: 'vmmctl balloon watch web1 web2' },
    {
      description: 'Ten looks in five seconds, for a script',
      command: 'vmmctl balloon watch web1 --interval 500ms --count 10 --json',
    },
  ];
  static override bounded = true;
  static override guestView = true;
  static override args = VM_ARGS;
  static override flags = WATCH_FLAGS;

  async run(): Promise<void> {
    const names = this.args.vm;
    const read = await balloonReader(this, names);
    const inside = this.machine === 'host' ? '-' : this.machine.vm;
    await watchRecords(
      this,
      {
        look: watchedVms(read, names, await this.backend()),
        nameOf: ({ vm }) => vm ?? inside,
        essential,
        columns: () => balloonColumns(this.io.now()),
        valueOf: ({ actual }) => actual,
        fullOf: ({ target }) => target ?? 0,
      },
      this.flags,
    );
  }
}
