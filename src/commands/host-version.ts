/** `vmmctl host-version`: who the host is. */
import { VmmctlCommand } from '../cli/command.js';
import { escapeControls } from '../cli/view/escape.js';
import type { HostVersion } from '../core/backend/port/vm.js';
import { hostVersion, probeNodes } from '../core/client/host.js';

const NONE = '-';

export default class HostVersionCommand extends VmmctlCommand<typeof HostVersionCommand> {
  static override summary = 'show who the host is';
  static override description =
    "The host's product, version, revision and features, and the nodes that answer. With --in it is what the\n" +
    "guest is told by its device of VirtualBox's, and the nodes that it sees. With --backend device it is the\n" +
    'hypervisor below this machine, or this machine itself where there is none.';
  static override examples = [
    { description: 'Who the host is', command: 'vmmctl host-version' },
    { description: 'Its version alone', command: 'vmmctl host-version --quiet' },
  ];
  static override bounded = true;
  static override guestView = true;

  async run(): Promise<void> {
    const backend = await this.backend();
    const host = await hostVersion(backend, this.machine);
    const nodes = await probeNodes(backend.machine(this.machine));
    if (this.flags.json) return this.json({ ...knownOf(host), nodes });
    if (this.flags.quiet) return this.out(`${escapeControls(host.version || NONE)}\n`);
    const lines = [
      ['product', host.product || NONE],
      ['version', host.version || NONE],
      ['revision', host.revision || NONE],
      ['features', host.features.join(' ') || NONE],
      ...nodes.map(({ path, version, detail }) => [path, detail ?? version ?? 'answers']),
    ];
    const width = Math.max(...lines.map(([name = '']) => name.length)) + 2;
    this.out(
      lines
        .map(([name = '', value = '']) => `${name.padEnd(width)}${escapeControls(value)}\n`)
        .join(''),
    );
  }
}

/** What is not known is null in JSON. */
function knownOf({ product, version, revision, features }: HostVersion) {
  return {
    product: product || null,
    version: version || null,
    revision: revision || null,
    features,
  };
}
