/** `vmmctl vmci id`: the context that one has in VMCI. */
import { VmmctlCommand } from '../../cli/command.js';
import { endOf } from './end.js';
import { END_FLAGS } from './words.js';

export default class VmciId extends VmmctlCommand<typeof VmciId> {
  static override summary = 'print the id of the own VMCI context';
  static override description =
    "Prints the context in which the other vmci commands act: the host's kernel is context 2, the kernel of a VM's\n" +
    'guest has the CID of the VM, and a program on /dev/vmci has a context of its own for as long as it runs.';
  static override examples = [
    { description: "The host's own", command: 'vmmctl vmci id' },
    { description: "A guest's, which is its CID", command: 'vmmctl --in web1 vmci id' },
  ];
  static override guestView = true;
  static override flags = END_FLAGS;

  async run(): Promise<void> {
    const { contextId } = await endOf(this);
    if (this.flags.json) this.json({ contextId });
    else this.out(`${contextId}\n`);
  }
}
