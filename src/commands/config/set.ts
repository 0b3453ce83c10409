/** `vmmctl config set`: writes a value into the configuration file. */
import { VmmctlCommand } from '../../cli/command.js';
import { arg } from '../../cli/flags.js';
import { parseBackendUri, parseDuration } from '../../cli/parse.js';
import { configPath, KEY_NAMES, type KeyName, keyName, writeConfig } from '../../cli/settings.js';
import { vmName } from '../vm-name.js';

const CHECKS: Readonly<Record<KeyName, (text: string) => unknown>> = {
  backend: parseBackendUri,
  in: vmName,
  timeout: parseDuration,
};

export default class ConfigSet extends VmmctlCommand<typeof ConfigSet> {
  static override summary = 'set a value of the configuration';
  static override description =
    'Written to $XDG_CONFIG_HOME/vmmctl/config.json. An empty value takes the key out of the file, also one that is\n' +
    'no key of the configuration.';
  static override examples = [
    { description: 'Use another simulated host', command: 'vmmctl config set backend sim:work' },
    { description: 'Back to the default', command: "vmmctl config set backend ''" },
  ];
  static override args = {
    key: arg({ summary: 'backend, in or timeout', words: KEY_NAMES }),
    value: arg({ summary: 'the value' }),
  };

  async run(): Promise<void> {
    const { key, value } = this.args;
    if (value !== '') CHECKS[keyName(key)](value);
    writeConfig(this.io.env, key, value);
    this.verbose(`wrote ${configPath(this.io.env)}`);
  }
}
