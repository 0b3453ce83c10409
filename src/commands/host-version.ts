/** `vmmctl host-version`: who the host is. */
import { VmmctlCommand } from '../cli/command.js';
import { escapeControls } from '../cli/view/escape.js';
import { SystemError } from '../core/abi/errno.js';
import { probeNodes } from '../core/client/host.js';

export default class HostVersionCommand extends VmmctlCommand<typeof HostVersionCommand> {
  static override summary = 'show who the host is';
  static override description =
    "The host's product, version, revision and features, and the nodes that answer; with --in those that the\n" +
    'guest sees.';
  static override examples = [
    { description: 'Who the host is', command: 'vmmctl host-version' },
    { description: 'Its version alone', command: 'vmmctl host-version --quiet' },
  ];
  static override bounded = true;
  static override guestView = true;

  async run(): Promise<void> {
    const backend = await this.backend();
    if (!backend.management) {
      throw new SystemError('EOPNOTSUPP', { message: `'${backend.uri}' does not say who it is` });
    }
    const host = await backend.management.hostVersion();
    const nodes = await probeNodes(backend.machine(this.machine));
    if (this.flags.json) return this.json({ ...host, nodes });
    if (this.flags.quiet) return this.out(`${escapeControls(host.version)}\n`);
    const lines = [
      ['product', host.product],
      ['version', host.version],
      ['revision', host.revision],
      ['features', host.features.join(' ') || '-'],
      ...nodes.map(({ path, version, detail }) => [path, version ?? detail ?? 'answers']),
    ];
    const width = Math.max(...lines.map(([name = '']) => name.length)) + 2;
    this.out(
      lines
        .map(([name = '', value = '']) => `${name.padEnd(width)}${escapeControls(value)}\n`)
        .join(''),
    );
  }
}
