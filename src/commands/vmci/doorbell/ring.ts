/** `vmmctl vmci doorbell ring`: rings a doorbell of VMCI. */
import { VmmctlCommand } from '../../../cli/command.js';
import { arg } from '../../../cli/flags.js';
import { handleText } from '../../../core/abi/vmci.js';
import { endOf } from '../end.js';
import { END_FLAGS, HANDLE_WORDS, handleWord, resolveHandle } from '../words.js';

export default class VmciDoorbellRing extends VmmctlCommand<typeof VmciDoorbellRing> {
  static override summary = 'ring a doorbell over VMCI';
  static override description =
    'Tells the owner of a doorbell that something has happened. One that was rung already, and not looked at since,\n' +
    'stays as it is.';
  static override examples = [
    { description: "Ring a guest's doorbell", command: 'vmmctl vmci doorbell ring web1:2000' },
    {
      description: "Ring the host's from a guest",
      command: 'vmmctl --in web1 vmci doorbell ring host:2001',
    },
  ];
  static override guestView = true;
  static override args = {
    handle: arg({ summary: 'which one, CID:RID', words: HANDLE_WORDS, convert: handleWord }),
  };
  static override flags = END_FLAGS;

  async run(): Promise<void> {
    const endpoint = await endOf(this);
    const handle = await resolveHandle(await this.backend(), this.args.handle);
    await endpoint.ring(handle);
    if (this.flags.json) this.json({ rung: handleText(handle) });
    else this.verbose(`rang ${handleText(handle)}`);
  }
}
