/** `vmmctl config list`: every setting, and where its value comes from. */
import { VmmctlCommand } from '../../cli/command.js';
import {
  KEYS,
  type KeyName,
  readConfig,
  resolveSetting,
  type Setting,
} from '../../cli/settings.js';

type Row = Setting & { key: KeyName };

export default class ConfigList extends VmmctlCommand<typeof ConfigList> {
  static override summary = 'list the configuration';
  static override description =
    'Each setting with its value and its origin: environment, file, default or unset. A flag goes over all.';
  static override examples = [
    { description: 'All settings', command: 'vmmctl config list' },
    { description: 'As JSON', command: 'vmmctl config list --json' },
  ];

  async run(): Promise<void> {
    const { env } = this.io;
    const file = readConfig(env);
    const rows = Object.keys(KEYS).map((name): Row => {
      const key = name as KeyName;
      return { key, ...resolveSetting(key, undefined, env, file) };
    });
    if (this.flags.json)
      return this.json(rows.map((row) => ({ ...row, value: row.value ?? null })));
    await this.table(rows, [
      { name: 'key', text: (row) => row.key },
      { name: 'value', text: (row) => row.value ?? '-' },
      { name: 'origin', text: (row) => row.origin },
    ]);
  }
}
