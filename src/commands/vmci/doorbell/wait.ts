/** `vmmctl vmci doorbell wait`: waits until a doorbell of VMCI is rung. */
import { VmmctlCommand } from '../../../cli/command.js';
import { optionalArg, optionOr } from '../../../cli/flags.js';
import { parseInteger } from '../../../cli/parse.js';
import { handleText, VMCI_INVALID_ID } from '../../../core/abi/vmci.js';
import { endOf, tellListening } from '../end.js';
import { END_FLAGS, resourceId } from '../words.js';

export default class VmciDoorbellWait extends VmmctlCommand<typeof VmciDoorbellWait> {
  static override summary = 'wait until a doorbell is rung over VMCI';
  static override description =
    'Makes a doorbell in the own context, says its handle on stderr when it is there, and waits. Prints the handle\n' +
    'for each time that it was rung; rings that come together count as one.';
  static override examples = [
    { description: 'In a guest', command: 'vmmctl --in web1 vmci doorbell wait 2000' },
    {
      description: 'On the host, for a minute at most',
      command: 'vmmctl vmci doorbell wait 2001 --timeout 1m',
    },
  ];
  static override bounded = true;
  static override guestView = true;
  static override args = {
    rid: optionalArg({ summary: 'its resource; a free one when left out', convert: resourceId }),
  };
  static override flags = {
    count: optionOr('1', {
      char: 'c',
      summary: 'end after so many rings; 0 is without end',
      helpValue: 'N',
      convert: parseInteger(0, Number.MAX_SAFE_INTEGER),
    }),
    ...END_FLAGS,
  };

  async run(): Promise<void> {
    const { count, json } = this.flags;
    const endpoint = await endOf(this);
    const doorbell = await endpoint.doorbell(this.args.rid ?? VMCI_INVALID_ID);
    const handle = handleText(doorbell.handle);
    tellListening(this, handle);
    this.endWithReader();
    for (let seen = 0; count === 0 || seen < count; seen++) {
      await doorbell.wait({ signal: this.signal });
      if (json) this.json({ handle }, count === 1 && this.io.isTty.stdout);
      else this.out(`${handle}\n`);
    }
  }
}
