/** `vmmctl guestprop unset`: deletes a guest property. */
import { VmmctlCommand } from '../../cli/command.js';
import { arg } from '../../cli/flags.js';
import { propertiesOf, propertyName, SIDE_FLAGS } from './side.js';

export default class GuestpropUnset extends VmmctlCommand<typeof GuestpropUnset> {
  static override summary = 'delete a guest property';
  static override description = 'To delete one that is not there is no error.';
  static override examples = [
    {
      description: "Delete a property on the host's side",
      command: 'vmmctl guestprop unset --vm web1 /config/role',
    },
    {
      description: 'Delete one in a guest',
      command: 'vmmctl --in web1 guestprop unset /status/phase',
    },
  ];
  static override bounded = true;
  static override guestView = true;
  static override args = {
    property: arg({ summary: 'name of the property', convert: propertyName }),
  };
  static override flags = SIDE_FLAGS;

  async run(): Promise<void> {
    const { property } = this.args;
    const properties = await propertiesOf(this);
    await properties.delete(property);
    this.verbose(`deleted ${property}`);
    if (this.flags.json) this.json({ name: property, deleted: true });
  }
}
