/** `vmmctl guestprop wait`: waits until guest properties change. */
import { VmmctlCommand } from '../../cli/command.js';
import { arg, optionOr } from '../../cli/flags.js';
import { parseInteger } from '../../cli/parse.js';
import { renderRow } from '../../cli/view/table.js';
import type { GuestPropertyChange } from '../../core/backend/port/guest.js';
import { propertiesOf, SIDE_FLAGS } from './side.js';

const COLUMNS = [
  { name: 'change', text: ({ deleted }: GuestPropertyChange) => (deleted ? 'deleted' : 'set') },
  { name: 'name', text: ({ name }: GuestPropertyChange) => name },
  { name: 'value', text: ({ value }: GuestPropertyChange) => value },
];
const NAME = COLUMNS.slice(1, 2);

export default class GuestpropWait extends VmmctlCommand<typeof GuestpropWait> {
  static override summary = 'wait until guest properties change';
  static override description =
    'Prints each change of a property whose name matches a pattern, on either side. What a property already is\n' +
    'counts for nothing: look at it with get first.';
  static override examples = [
    {
      description: 'Wait until a guest says something',
      command: "vmmctl guestprop wait --vm web1 '/status/*'",
    },
    {
      description: 'Two changes, for ten seconds at most, in a guest',
      command: "vmmctl --in web1 guestprop wait '/config/*' --count 2 --timeout 10s",
    },
  ];
  static override bounded = true;
  static override guestView = true;
  static override args = { pattern: arg({ summary: 'which properties; an empty one is all' }) };
  static override flags = {
    ...SIDE_FLAGS,
    count: optionOr('1', {
      char: 'c',
      summary: 'how many changes',
      helpValue: 'N',
      convert: parseInteger(1, 1_000_000),
    }),
  };

  async run(): Promise<void> {
    const properties = await propertiesOf(this);
    this.verbose('waiting for a change');
    this.endWithReader();
    for (let left = this.flags.count; left > 0; left--) {
      this.#show(await properties.next(this.args.pattern, { signal: this.signal }));
    }
  }

  #show(change: GuestPropertyChange): void {
    if (this.flags.json) this.json(change, this.flags.count === 1 && this.io.isTty.stdout);
    else this.out(`${renderRow(change, this.flags.quiet ? NAME : COLUMNS).trimEnd()}\n`);
  }
}
