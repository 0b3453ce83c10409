/** `vmmctl stats`: the counters that the host keeps of vCPUs. */
import { VmmctlCommand } from '../cli/command.js';
import { arg, flag, option } from '../cli/flags.js';
import { parseInteger } from '../cli/parse.js';
import type { Column } from '../cli/view/table.js';
import { SystemError } from '../core/abi/errno.js';
import { kvmOf } from '../core/client/kvm-choice.js';
import { withVm } from '../core/client/open-vm.js';
import { kvmStats, readVmStats, type VcpuStats } from '../core/client/vmm-stats.js';
import { LAST_VCPU } from './vcpu-number.js';
import { vmBackend } from './vm-backend.js';
import { vmName, withNearNames } from './vm-name.js';

interface Line {
  vcpu: string;
  name: string;
  value: bigint;
}

const COLUMNS: readonly Column<Line>[] = [
  { name: 'vcpu', text: ({ vcpu }) => vcpu, align: 'right' },
  { name: 'value', text: ({ value }) => String(value), align: 'right' },
  { name: 'counter', text: ({ name }) => name },
];

export default class Stats extends VmmctlCommand<typeof Stats> {
  static override summary = 'show the counters of the vCPUs of a VM';
  static override description =
    'What the host has counted of each active vCPU, or of vCPU 0 when none is, with the words of its kernel. Counters\n' +
    'that are 0 are left out without --all; --json has all. With KVM it is what the process of the VM has counted.';
  static override examples = [
    { description: 'The counters of a VM', command: 'vmmctl stats web1' },
    {
      description: 'How often its vCPU 0 came back',
      command:
        'vmmctl stats web1 --vcpu 0 --json | jq \'.[0].counters["total number of vm exits"]\'',
    },
  ];
  static override bounded = true;
  static override args = { name: arg({ summary: 'name of the VM', convert: vmName }) };
  static override flags = {
    vcpu: option({
      summary: 'only that vCPU',
      helpValue: 'N',
      convert: parseInteger(0, LAST_VCPU),
    }),
    all: flag({ summary: 'counters that are 0 too' }),
  };

  async run(): Promise<void> {
    const backend = await vmBackend(this);
    const { name } = this.args;
    const { vcpu } = this.flags;
    const options = { signal: this.signal };
    try {
      const kvm = await kvmOf(backend);
      if (kvm && vcpu !== undefined) {
        const message = "the counters of KVM's VMs are those of all vCPUs";
        throw new SystemError('EOPNOTSUPP', { message, hint: 'leave --vcpu out' });
      }
      const stats = kvm
        ? [await kvmStats(kvm, name, this.io.now())]
        : await withVm(backend, name, (node) => readVmStats(node, name, vcpu, options), options);
      await this.#show(stats);
    } catch (error) {
      throw await withNearNames(error, backend, name);
    }
  }

  async #show(stats: readonly VcpuStats[]): Promise<void> {
    if (this.flags.json) return this.json(stats);
    const lines = stats.flatMap(({ vcpu, counters }) =>
      Object.entries(counters).map(([name, value]) => ({ vcpu: String(vcpu ?? '-'), name, value })),
    );
    const shown = lines.filter(({ value }) => this.flags.all || value > 0n);
    await this.table(shown, COLUMNS);
  }
}
