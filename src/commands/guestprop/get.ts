/** `vmmctl guestprop get`: the value of a guest property. */
import { VmmctlCommand } from '../../cli/command.js';
import { arg } from '../../cli/flags.js';
import { escapeControls } from '../../cli/view/escape.js';
import { propertiesOf, propertyName, SIDE_FLAGS } from './side.js';
import { flagsText, timeText } from './words.js';

export default class GuestpropGet extends VmmctlCommand<typeof GuestpropGet> {
  static override summary = 'print a guest property';
  static override description =
    'Prints the value alone; --verbose adds on stderr when it was set, and its flags. In a pipe the value is as it\n' +
    'is; on a terminal control characters in it are shown as escapes, since it may come from a guest.';
  static override examples = [
    {
      description: "The version of the guest's tools, as the host sees it",
      command: 'vmmctl guestprop get --vm web1 /VirtualBox/GuestAdd/Version',
    },
    {
      description: "The host's version, as a guest sees it",
      command: 'vmmctl --in web1 guestprop get /VirtualBox/HostInfo/VBoxVer',
    },
  ];
  static override bounded = true;
  static override guestView = true;
  static override args = {
    property: arg({ summary: 'name of the property', convert: propertyName }),
  };
  static override flags = SIDE_FLAGS;

  async run(): Promise<void> {
    const properties = await propertiesOf(this);
    const property = await properties.get(this.args.property);
    if (this.flags.json) return this.json(property);
    this.verbose(`set ${timeText(property.timestamp)}, flags ${flagsText(property)}`);
    const { value } = property;
    this.out(`${this.io.isTty.stdout ? escapeControls(value) : value}\n`);
  }
}
