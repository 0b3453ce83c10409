/** `vmmctl vmci queue attach`: joins stdin and stdout to a queue pair that somebody has made. */
import { VmmctlCommand } from '../../../cli/command.js';
import { arg } from '../../../cli/flags.js';
import { attachQueuePair } from '../../../core/client/vmci-queue.js';
import { HANDLE_WORDS, handleWord, resolveHandle } from '../words.js';
import { joinStdio, kernelOf } from './joined.js';

export default class VmciQueueAttach extends VmmctlCommand<typeof VmciQueueAttach> {
  static override summary = 'join stdin and stdout to a queue pair of VMCI that is there';
  static override description =
    "The handle is what 'vmci queue create' says, and 'vmci queue list' shows. End of input closes the sending half;\n" +
    'the command ends when the other end has closed its half too. What an end that left in the middle had written is\n' +
    'still read, and the status is 6.';
  static override examples = [
    {
      description: 'In a guest, what its host sends',
      command: 'vmmctl --in web1 vmci queue attach host:1024 | tar -xf -',
    },
    {
      description: 'On the host, what a guest sends',
      command: 'vmmctl vmci queue attach web1:2000 > report.txt',
    },
  ];
  static override guestView = true;
  static override args = {
    handle: arg({ summary: 'CID:RID of the pair', words: HANDLE_WORDS, convert: handleWord }),
  };

  async run(): Promise<void> {
    const kernel = await kernelOf(this);
    const handle = await resolveHandle(await this.backend(), this.args.handle);
    await joinStdio(this, await attachQueuePair(kernel, handle));
  }
}
