/** `vmmctl events wait`: waits in a guest for events of its host. */
import { VmmctlCommand } from '../../cli/command.js';
import { option } from '../../cli/flags.js';
import { formatDuration } from '../../cli/parse.js';
import { explain } from '../../core/client/explain.js';
import {
  changeFilter,
  DRIVER_EVENTS,
  eventNames,
  PROGRAM_EVENTS,
  waitForEvents,
} from '../../core/client/vmmdev-events.js';
import { guestNode } from '../guest-side.js';
import { EVENT_NAMES, eventsMask } from './words.js';

export default class EventsWait extends VmmctlCommand<typeof EventsWait> {
  static override summary = 'wait in a guest for events of its host';
  static override description =
    "Asks the driver of VirtualBox's device for events, waits until one of them is there, and prints the names of\n" +
    'those that came. An event goes to one program alone: who waits for it takes it away from others. What\n' +
    'happened before somebody asked for it is not lost: the host keeps it.';
  static override examples = [
    { description: 'Wait for any event', command: 'vmmctl --in web1 events wait' },
    {
      description: 'Wait for one of two, for a minute at most',
      command: 'vmmctl --in web1 events wait --mask display-change-request,vrdp --timeout 1m',
    },
  ];
  static override guestView = true;
  static override flags = {
    mask: option({
      summary: 'which events, separated by commas; all that a program can have when left out',
      helpValue: 'NAMES',
      words: EVENT_NAMES,
      convert: eventsMask,
    }),
  };

  async run(): Promise<void> {
    const mask = this.flags.mask ?? PROGRAM_EVENTS;
    const node = await guestNode(this);
    this.#warnOfDriver(mask);
    await changeFilter(node, mask, 0);
    this.verbose(`waiting for ${eventNames(mask).join(', ')}`);
    this.endWithReader();
    const { timeoutMs, signal } = this;
    const found = await explain(waitForEvents(node, mask, { timeoutMs, signal }), {
      ETIMEDOUT: [`no event came within ${formatDuration(timeoutMs ?? 0)}`],
    });
    const events = eventNames(found);
    if (this.flags.json) this.json({ events, mask: found });
    else this.out(events.map((name) => `${name}\n`).join(''));
  }

  #warnOfDriver(mask: number): void {
    if ((mask & ~DRIVER_EVENTS) !== 0) return;
    this.note(`the driver of Linux takes ${eventNames(mask).join(', ')} for itself`);
  }
}
