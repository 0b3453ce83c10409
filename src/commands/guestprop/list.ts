/** `vmmctl guestprop list`: the guest properties of a VM as a table, or as JSON. */
import { VmmctlCommand } from '../../cli/command.js';
import { flag, optionalArg } from '../../cli/flags.js';
import { type Column, renderRow } from '../../cli/view/table.js';
import type { GuestProperty } from '../../core/backend/port/guest.js';
import { propertiesOf, SIDE_FLAGS } from './side.js';
import { ageText, flagsText, timeText } from './words.js';

const NAME: Column<GuestProperty> = { name: 'name', text: ({ name }) => name };

function columns(time: (timestamp: string) => string): Column<GuestProperty>[] {
  return [
    NAME,
    { name: 'value', text: ({ value }) => value },
    { name: 'timestamp', text: ({ timestamp }) => time(timestamp) },
    { name: 'flags', text: flagsText },
  ];
}

export default class GuestpropList extends VmmctlCommand<typeof GuestpropList> {
  static override summary = 'list guest properties';
  static override description =
    'All, or those whose names match a pattern: * is any text, ? any byte, and | is between patterns.';
  static override examples = [
    {
      description: 'What the host knows of a guest',
      command: 'vmmctl guestprop list --vm web1',
    },
    {
      description: 'What a guest knows of its host',
      command: "vmmctl --in web1 guestprop list '/VirtualBox/HostInfo/*'",
    },
  ];
  static override bounded = true;
  static override guestView = true;
  static override args = { pattern: optionalArg({ summary: 'which properties' }) };
  static override flags = {
    ...SIDE_FLAGS,
    'no-header': flag({ summary: 'leave the headings out' }),
  };

  async run(): Promise<void> {
    const properties = await propertiesOf(this);
    const found = await properties.list(this.args.pattern ?? '');
    found.sort((a, b) => (a.name < b.name ? -1 : 1));
    if (this.flags.json) return this.json(found);
    if (this.flags.quiet)
      return this.out(found.map((each) => `${renderRow(each, [NAME])}\n`).join(''));
    // A whole time would leave little room for names.
    const time = this.io.isTty.stdout ? (text: string) => ageText(text, this.io.now()) : timeText;
    await this.table(found, columns(time), { header: !this.flags['no-header'] });
  }
}
