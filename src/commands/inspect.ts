/** `vmmctl inspect`: everything that is known of a VM. */
import { VmmctlCommand } from '../cli/command.js';
import { args } from '../cli/flags.js';
import { painter } from '../cli/paint.js';
import { formatSize } from '../cli/parse.js';
import { escapeControls } from '../cli/view/escape.js';
import type { MemoryMapping, VmDetails } from '../core/backend/port.js';
import { faultSummary } from '../core/client/faults.js';
import { inspectVm } from '../core/client/vm.js';
import { vmBackend } from './vm-backend.js';
import { vmName, withNearNames } from './vm-name.js';

export default class Inspect extends VmmctlCommand<typeof Inspect> {
  static override summary = 'show everything known of VMs';
  static override description =
    'A page on a terminal; otherwise a JSON array with one object a VM.';
  static override examples = [
    { description: 'A page about a VM', command: 'vmmctl inspect web1' },
    {
      description: 'The socket for programs that know nothing of vmmctl',
      command: "vmmctl inspect web1 --json | jq --raw-output '.[0].exports[0].path'",
    },
  ];
  static override bounded = true;
  static override args = {
    name: args({ summary: 'names of VMs', required: true, convert: vmName }),
  };

  async run(): Promise<void> {
    const backend = await vmBackend(this);
    const found: VmDetails[] = [];
    for (const name of this.args.name) {
      try {
        found.push(await inspectVm(backend, name, { signal: this.signal }));
      } catch (error) {
        this.fail(await withNearNames(error, backend, name));
      }
    }
    if (this.flags.json && this.status !== 0) return;
    if (this.flags.json) this.json(found);
    else if (!this.io.isTty.stdout) this.json(found, true);
    else for (const vm of found) this.out(await this.#page(vm));
  }

  async #page(vm: VmDetails): Promise<string> {
    const { bold } = await painter(this.io.color.stdout);
    const facts: [string, string | number | null][] = [
      ['state', vm.state],
      ['cpus', vm.cpus],
      ['memory', vm.memory === null ? null : formatSize(vm.memory)],
      ['cid', vm.cid],
      ['vsock transport', vm.vsockTransport],
      ['lifetime', vm.lifetime],
      ['created', vm.createdAt],
    ];
    const sections = [
      section('labels', Object.entries(vm.labels)),
      section('memory map', vm.memoryMap.map(mappingRow)),
      section(
        'devices',
        vm.devices.map((each) => [each.path, each.description]),
      ),
      section(
        'exports',
        vm.exports.map((each) => [each.kind, each.path]),
      ),
      section(
        'faults',
        vm.faults.map((kind) => [kind, faultSummary(kind)]),
      ),
      section('counters', Object.entries(vm.counters)),
    ];
    return [bold(escapeControls(vm.name)), '\n', rows(facts), ...sections, '\n'].join('');
  }
}

type Row = readonly [string, string | number | null];

function mappingRow({ address, size, device, access }: MemoryMapping): Row {
  return [`0x${address.toString(16)}`, `${formatSize(size)}  ${access}  ${device ?? 'system'}`];
}

function section(title: string, entries: readonly Row[]): string {
  return entries.length === 0 ? '' : `  ${title}:\n${rows(entries, '    ')}`;
}

function rows(entries: readonly Row[], indent = '  '): string {
  const width = Math.max(...entries.map(([name]) => name.length));
  const lines = entries.map(
    ([name, value]) =>
      `${indent}${escapeControls(name).padEnd(width)}  ${escapeControls(String(value ?? '-'))}\n`,
  );
  return lines.join('');
}
