/** `vmmctl heartbeat watch`: the beats as they come. */
import { VmmctlCommand } from '../../cli/command.js';
import { VM_ARGS, watchedVms } from '../vm-records.js';
import { WATCH_FLAGS, watchRecords } from '../watch.js';
import { heartbeatColumns, heartbeatManagement } from './records.js';

export default class HeartbeatWatch extends VmmctlCommand<typeof HeartbeatWatch> {
  static override summary = 'watch the heartbeats of VMs';
  static override description =
    'A terminal shows the heartbeats with a plot of how many beats came between two looks, until Ctrl-C.\n' +
    'Elsewhere there is a line for each VM of which something has changed, with the time, and with --json the\n' +
    'whole array on a line when something has.';
  static override examples = [
    { description: 'Watch all heartbeats', command: 'vmmctl heartbeat watch' },
    {
      description: 'Ten looks in five seconds, for a script',
      command: 'vmmctl heartbeat watch web1 --interval 500ms --count 10 --json',
    },
  ];
  static override bounded = true;
  static override guestView = true;
  static override args = VM_ARGS;
  static override flags = WATCH_FLAGS;

  async run(): Promise<void> {
    const management = await heartbeatManagement(this);
    const read = (name?: string) => management.heartbeats(name);
    await watchRecords(
      this,
      {
        look: watchedVms(read, this.args.vm, await this.backend()),
        nameOf: ({ vm }) => vm,
        essential: ({ vm }) => vm,
        columns: () => heartbeatColumns(this.io.now()),
        // A guest that began anew has counted fewer than before.
        valueOf: ({ beats }, before) => (before ? Math.max(0, beats - before.beats) : null),
      },
      this.flags,
    );
  }
}
