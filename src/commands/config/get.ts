/** `vmmctl config get`: the value that a command would use. */
import { VmmctlCommand } from '../../cli/command.js';
import { arg } from '../../cli/flags.js';
import { KEY_NAMES, keyName, readConfig, resolveSetting } from '../../cli/settings.js';
import { escapeControls } from '../../cli/view/escape.js';
import { SystemError } from '../../core/abi/errno.js';

export default class ConfigGet extends VmmctlCommand<typeof ConfigGet> {
  static override summary = 'print a value of the configuration';
  static override description =
    'The value that commands use: from the environment, the configuration file or the default, in that order.';
  static override examples = [
    { description: 'The backend in use', command: 'vmmctl config get backend' },
    { description: 'With its origin', command: 'vmmctl config get backend --json' },
  ];
  static override args = {
    key: arg({ summary: 'backend, in or timeout', words: KEY_NAMES, convert: keyName }),
  };

  async run(): Promise<void> {
    const { key } = this.args;
    const { env } = this.io;
    const { value, origin } = resolveSetting(key, undefined, env, readConfig(env));
    if (value === undefined) throw new SystemError('ENOENT', { message: `'${key}' is not set` });
    if (this.flags.json) return this.json({ key, value, origin });
    this.out(`${escapeControls(value)}\n`);
  }
}
