/** `vmmctl host-version`: who the host is. */
import { VmmctlCommand } from '../cli/command.js';
import { escapeControls } from '../cli/view/escape.js';
import { SystemError } from '../core/abi/errno.js';

export default class HostVersionCommand extends VmmctlCommand<typeof HostVersionCommand> {
  static override summary = 'show who the host is';
  static override description = "The host's product, version, revision and features.";
  static override examples = [
    { description: 'Who the host is', command: 'vmmctl host-version' },
    { description: 'Its version alone', command: 'vmmctl host-version --quiet' },
  ];
  static override bounded = true;

  async run(): Promise<void> {
    const backend = await this.backend();
    if (!backend.management) {
      throw new SystemError('EOPNOTSUPP', { message: `'${backend.uri}' does not say who it is` });
    }
    const host = await backend.management.hostVersion();
    if (this.flags.json) return this.json(host);
    if (this.flags.quiet) return this.out(`${escapeControls(host.version)}\n`);
    const lines = [
      ['product', host.product],
      ['version', host.version],
      ['revision', host.revision],
      ['features', host.features.join(' ') || '-'],
    ];
    this.out(
      lines
        .map(([name = '', value = '']) => `${name.padEnd(10)}${escapeControls(value)}\n`)
        .join(''),
    );
  }
}
