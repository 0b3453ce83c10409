/** `vmmctl guestprop set`: gives a guest property a value. */
import { VmmctlCommand } from '../../cli/command.js';
import { arg, option } from '../../cli/flags.js';
import { propertiesOf, propertyName, SIDE_FLAGS } from './side.js';
import { PROPERTY_FLAGS, propertyFlags } from './words.js';

export default class GuestpropSet extends VmmctlCommand<typeof GuestpropSet> {
  static override summary = 'set a guest property';
  static override description =
    'Makes the property, or changes it. Flags that it had are gone when none are given. A value that begins with a\n' +
    'dash stands behind --.';
  static override examples = [
    {
      description: 'Tell the guest something',
      command: 'vmmctl guestprop set --vm web1 /config/role primary',
    },
    {
      description: 'Tell the host something, that is gone after a reset',
      command: 'vmmctl --in web1 guestprop set /status/phase ready --flags transreset',
    },
  ];
  static override bounded = true;
  static override guestView = true;
  static override args = {
    property: arg({ summary: 'name of the property', convert: propertyName }),
    value: arg({ summary: 'its new value' }),
  };
  static override flags = {
    ...SIDE_FLAGS,
    flags: option({
      summary: `its flags, separated by commas: ${PROPERTY_FLAGS.join(', ')}`,
      helpValue: 'FLAGS',
      words: PROPERTY_FLAGS,
      convert: propertyFlags,
    }),
  };

  async run(): Promise<void> {
    const { property, value } = this.args;
    const properties = await propertiesOf(this);
    await properties.set(property, value, this.flags.flags);
    this.verbose(`set ${property}`);
    if (this.flags.json) this.json(await properties.get(property));
  }
}
