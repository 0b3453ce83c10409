/** `vmmctl completion`: scripts that complete command lines, for three shells. */
import { VmmctlCommand } from '../cli/command.js';
import { completionScript, SHELLS, type Shell } from '../cli/completion/script.js';
import { arg } from '../cli/flags.js';

export default class Completion extends VmmctlCommand<typeof Completion> {
  static override summary = 'print a completion script for a shell';
  static override description = 'Names of VMs are completed too, from the backend in use.';
  static override examples = [
    { description: 'In ~/.bashrc', command: 'eval "$(vmmctl completion bash)"' },
    {
      description: 'For fish',
      command: 'vmmctl completion fish > ~/.config/fish/completions/vmmctl.fish',
    },
  ];
  static override args = {
    shell: arg({
      summary: 'which shell',
      options: SHELLS,
      convert: (text: string) => text as Shell,
    }),
  };

  async run(): Promise<void> {
    this.out(completionScript(this.args.shell, await this.invocation.commands()));
  }
}
