/** `vmmctl vmci events`: the events of VMCI. */
import { VmmctlCommand } from '../../cli/command.js';
import { optionOr, options } from '../../cli/flags.js';
import { parseInteger } from '../../cli/parse.js';
import { eventText } from '../../core/client/vmci-event.js';
import { endOf, tellListening } from './end.js';
import { contextId, END_FLAGS } from './words.js';

export default class VmciEvents extends VmmctlCommand<typeof VmciEvents> {
  static override summary = 'print the events of VMCI';
  static override description =
    'Prints what VMCI tells a kernel or a program: queue pairs to which the other end comes (qp-peer-attach) or from\n' +
    'which it goes (qp-peer-detach), a new id of the own context (ctx-id-update), and to a program contexts that it\n' +
    'watches and that are gone (ctx-removed). Goes on until it is interrupted; says on stderr when it listens.';
  static override examples = [
    { description: "The host's events", command: 'vmmctl vmci events' },
    {
      description: "The next two of a guest's, for a script",
      command: 'vmmctl --in web1 vmci events --count 2 --json',
    },
  ];
  static override bounded = true;
  static override guestView = true;
  static override flags = {
    count: optionOr('0', {
      char: 'c',
      summary: 'end after so many events; 0 is without end',
      helpValue: 'N',
      convert: parseInteger(0, Number.MAX_SAFE_INTEGER),
    }),
    watch: options({
      summary: 'with --node, be told when that context is gone',
      helpValue: 'CID',
      convert: contextId,
    }),
    ...END_FLAGS,
  };

  async run(): Promise<void> {
    const { count, json, watch } = this.flags;
    const endpoint = await endOf(this);
    for (const context of watch) await endpoint.watch(context);
    const events = await endpoint.events({ signal: this.signal });
    tellListening(this, `the events of context ${endpoint.contextId}`);
    this.endWithReader();
    let seen = 0;
    for await (const event of events) {
      if (json) this.json(event, false);
      else this.out(`${eventText(event)}\n`);
      seen += 1;
      if (seen === count) return;
    }
  }
}
