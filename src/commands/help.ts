/** `vmmctl help`: the help of a command, or a topic that is about none. */
import { VmmctlCommand } from '../cli/command.js';
import { args } from '../cli/flags.js';
import { TOPICS } from '../cli/topics.js';

export default class HelpCommand extends VmmctlCommand<typeof HelpCommand> {
  static override summary = 'show help about a command or a topic';
  static override description = `Topics: ${Object.keys(TOPICS).join(', ')}.`;
  static override examples = [
    { description: 'Help about a command', command: 'vmmctl help create' },
    { description: 'What the exit statuses mean', command: 'vmmctl help exit-codes' },
  ];
  static override args = {
    topic: args({ summary: 'words of a command, or a topic', convert: (word) => word }),
  };

  async run(): Promise<void> {
    const words = this.args.topic;
    const topic = words.length === 1 ? TOPICS[words[0] ?? ''] : undefined;
    if (topic) return this.out(`${topic.text}\n`);
    await this.invocation.showHelp(words);
  }
}
