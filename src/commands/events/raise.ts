/** `vmmctl events raise`: raises events of a VM's device, as its host does. */
import { VmmctlCommand } from '../../cli/command.js';
import { arg, args } from '../../cli/flags.js';
import { SystemError } from '../../core/abi/errno.js';
import { eventNames } from '../../core/client/vmmdev-events.js';
import { vmName, withNearNames } from '../vm-name.js';
import { EVENT_NAMES, eventMask } from './words.js';

export default class EventsRaise extends VmmctlCommand<typeof EventsRaise> {
  static override summary = "raise events in a VM's guest";
  static override description =
    "Raises events of VirtualBox's device, as its host does. The guest is interrupted when its driver has asked\n" +
    'for one of them; until then the device keeps them.';
  static override examples = [
    { description: 'Raise an event', command: 'vmmctl events raise web1 restored' },
    {
      description: 'Raise two at once',
      command: 'vmmctl events raise web1 display-change-request cpu-hotplug',
    },
  ];
  static override bounded = true;
  static override args = {
    vm: arg({ summary: 'name of the VM', convert: vmName }),
    event: args({
      summary: 'names of events',
      required: true,
      words: EVENT_NAMES,
      convert: eventMask,
    }),
  };

  async run(): Promise<void> {
    const { vm, event } = this.args;
    const mask = event.reduce((all, each) => all | each, 0);
    const backend = await this.backend();
    const { management } = backend;
    if (management === undefined) {
      throw new SystemError('EOPNOTSUPP', { message: `'${backend.uri}' can't raise events` });
    }
    await management.raiseEvents(vm, mask).catch(async (error) => {
      throw await withNearNames(error, backend, vm);
    });
    const events = eventNames(mask);
    this.verbose(`raised ${events.join(', ')} in ${vm}`);
    if (this.flags.json) this.json({ vm, events, mask });
  }
}
