/** `vmmctl heartbeat set`: how often a guest has to beat, and how long its host waits. */
import { VmmctlCommand } from '../../cli/command.js';
import { UsageError } from '../../cli/errors.js';
import { arg, flag, option } from '../../cli/flags.js';
import { formatDuration, parseDuration } from '../../cli/parse.js';
import type { HeartbeatChange, HeartbeatRecord } from '../../core/backend/port/guest.js';
import { vmName, withNearNames } from '../vm-name.js';
import { refusedValue } from '../vm-records.js';
import { heartbeatManagement } from './records.js';

export default class HeartbeatSet extends VmmctlCommand<typeof HeartbeatSet> {
  static override summary = 'set the heartbeat of a VM';
  static override description =
    'The interval is at least 50ms, the time-out of the host at least 100ms and over 10ms longer than that. What is\n' +
    'left out stays as it is; a time-out that was never set is twice the interval.';
  static override examples = [
    {
      description: 'A beat each second, and a miss after five',
      command: 'vmmctl heartbeat set web1 --interval 1s --host-timeout 5s',
    },
    { description: 'No heartbeat any more', command: 'vmmctl heartbeat set web1 --off' },
  ];
  static override bounded = true;
  static override args = { vm: arg({ summary: 'name of the VM', convert: vmName }) };
  static override flags = {
    interval: option({
      char: 'i',
      summary: 'time between two beats',
      helpValue: 'DURATION',
      convert: parseDuration,
    }),
    'host-timeout': option({
      summary: 'how long the host waits for a beat',
      helpValue: 'DURATION',
      convert: parseDuration,
    }),
    on: flag({ summary: 'want beats', exclusive: ['off'] }),
    off: flag({ summary: 'want no beats', exclusive: ['on'] }),
  };

  async run(): Promise<void> {
    const record = await this.#set(this.#change());
    const { vm, intervalMs, timeoutMs, enabled } = record;
    const times = `a beat each ${formatDuration(intervalMs)}, a miss after ${formatDuration(timeoutMs)}`;
    this.verbose(`${vm}: ${enabled ? times : 'no heartbeat'}`);
    if (this.flags.json) this.json(record);
  }

  #change(): HeartbeatChange {
    const { interval, on, off } = this.flags;
    const timeout = this.flags['host-timeout'];
    if (interval === undefined && timeout === undefined && !on && !off) {
      const hint = 'give --interval, --host-timeout, --on or --off';
      throw new UsageError('nothing is to be set', hint);
    }
    return { intervalMs: interval, timeoutMs: timeout, enabled: on || off ? on : undefined };
  }

  async #set(change: HeartbeatChange): Promise<HeartbeatRecord> {
    const management = await heartbeatManagement(this);
    const { vm } = this.args;
    try {
      return await management.setHeartbeat(vm, change);
    } catch (error) {
      throw refusedValue(await withNearNames(error, await this.backend(), vm));
    }
  }
}
