/** `vmmctl heartbeat`: whether guests beat, and when they last did. */
import { VmmctlCommand } from '../../cli/command.js';
import { CodeError, exitStatus } from '../../cli/errors.js';
import { flag } from '../../cli/flags.js';
import type { HeartbeatRecord } from '../../core/backend/port/guest.js';
import { chooseRecords, showRecords, VM_ARGS } from '../vm-records.js';
import { heartbeatColumns, heartbeatManagement } from './records.js';

export default class Heartbeat extends VmmctlCommand<typeof Heartbeat> {
  static override summary = 'show the heartbeats of VMs';
  static override description =
    'A guest tells its host that it is alive, once an interval. It is late when a beat is overdue, and has\n' +
    'flatlined when there was none for the time-out: that is a miss, which the host writes into its log.';
  static override examples = [
    { description: 'The heartbeats of all VMs', command: 'vmmctl heartbeat' },
    {
      description: 'Whether a guest is alive, for a script',
      command: 'vmmctl heartbeat web1 --check --quiet',
    },
  ];
  static override bounded = true;
  static override guestView = true;
  static override args = VM_ARGS;
  static override flags = {
    check: flag({ summary: 'exit with 6 unless all are beating' }),
  };

  async run(): Promise<void> {
    const names = this.args.vm;
    const management = await heartbeatManagement(this);
    const read = (name?: string) => management.heartbeats(name);
    const chosen = await chooseRecords(read, names, await this.backend());
    await showRecords(this, chosen, heartbeatColumns(this.io.now()), ({ vm }) => vm);
    if (this.flags.check) this.#check(chosen.found);
  }

  /** The JSON document says it already, and the command did not fail. */
  #check(records: readonly HeartbeatRecord[]): void {
    const silent = records.filter(({ state }) => state !== 'beating');
    if (silent.length === 0) return;
    const list = silent.map(({ vm, state }) => `${vm} (${state})`).join(', ');
    const error = new CodeError('ETIMEDOUT', `not beating: ${list}`);
    if (!this.flags.json) this.fail(error);
    else if (this.status === 0) this.status = exitStatus(error);
  }
}
