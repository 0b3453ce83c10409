/** `vmmctl inspect`: everything that is known of a VM. */
import { VmmctlCommand } from '../cli/command.js';
import { args, option } from '../cli/flags.js';
import { painter } from '../cli/paint.js';
import { formatSize, parseInteger } from '../cli/parse.js';
import { escapeControls } from '../cli/view/escape.js';
import { SystemError } from '../core/abi/errno.js';
import type { DeviceNode } from '../core/backend/port/node.js';
import type { MemoryMapping, VmDetails } from '../core/backend/port/vm.js';
import type { Backend } from '../core/backend/port.js';
import { faultSummary } from '../core/client/faults.js';
import { kvmOf } from '../core/client/kvm-choice.js';
import { withVm } from '../core/client/open-vm.js';
import { inspectVm } from '../core/client/vm.js';
import { readVcpu, type VcpuDetails } from '../core/client/vmm-registers.js';
import { cpuRows, vcpuSections } from './inspect-vcpu.js';
import { type Row, rows, section } from './sections.js';
import { LAST_VCPU } from './vcpu-number.js';
import { vmBackend } from './vm-backend.js';
import { vmName, withNearNames } from './vm-name.js';

export default class Inspect extends VmmctlCommand<typeof Inspect> {
  static override summary = 'show everything known of VMs';
  static override description =
    'A page on a terminal; otherwise a JSON array with one object a VM.';
  static override examples = [
    { description: 'A page about a VM', command: 'vmmctl inspect web1' },
    {
      description: 'Where a vCPU is',
      command: "vmmctl inspect web1 --vcpu 0 --json | jq '.[0].vcpus[0].registers.rip'",
    },
    {
      description: 'The socket for programs that know nothing of vmmctl',
      command: "vmmctl inspect web1 --json | jq --raw-output '.[0].exports[0].path'",
    },
  ];
  static override bounded = true;
  static override args = {
    name: args({ summary: 'names of VMs', required: true, convert: vmName }),
  };

  static override flags = {
    vcpu: option({
      summary: 'with the registers and capabilities of that vCPU',
      helpValue: 'N',
      convert: parseInteger(0, LAST_VCPU),
    }),
  };

  async run(): Promise<void> {
    const backend = await vmBackend(this);
    const found: InspectedVm[] = [];
    for (const name of this.args.name) {
      try {
        found.push(await this.#inspect(backend, name));
      } catch (error) {
        this.fail(await withNearNames(error, backend, name));
      }
    }
    const isPage = !this.flags.json && this.io.isTty.stdout;
    if (!isPage && this.status !== 0) return;
    if (!isPage) this.json(found, !this.flags.json);
    else for (const vm of found) this.out(await this.#page(vm));
  }

  async #inspect(backend: Backend, name: string): Promise<InspectedVm> {
    const options = { signal: this.signal };
    const vm = await inspectVm(backend, name, options);
    const { vcpu } = this.flags;
    if (vcpu === undefined) return vm;
    if (await kvmOf(backend)) {
      throw new SystemError('EOPNOTSUPP', { message: "of KVM's VMs no registers are shown" });
    }
    const read = (node: DeviceNode) => readVcpu(node, vcpu, options);
    return { ...vm, vcpus: [await withVm(backend, name, read, options)] };
  }

  async #page(vm: InspectedVm): Promise<string> {
    const { bold } = await painter(this.io.color.stdout);
    const facts: [string, string | number | null][] = [
      ['state', vm.reason === null ? vm.state : `${vm.state ?? 'suspended'} (${vm.reason})`],
      ['cpus', vm.cpus],
      ['memory', vm.memory === null ? null : formatSize(vm.memory)],
      ['cid', vm.cid],
      ['vsock transport', vm.vsockTransport],
      ['lifetime', vm.lifetime],
      ['created', vm.createdAt],
    ];
    const sections = [
      section('labels', Object.entries(vm.labels)),
      section('vCPUs', cpuRows(vm)),
      ...(vm.vcpus ?? []).flatMap(vcpuSections),
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
      section('capabilities', Object.entries(vm.capabilities ?? {})),
    ];
    return [bold(escapeControls(vm.name)), '\n', rows(facts), ...sections, '\n'].join('');
  }
}

/** Reading a vCPU stops it for a moment, so that is done when it is asked for. */
type InspectedVm = VmDetails & { vcpus?: VcpuDetails[] };

function mappingRow({ address, size, device, access }: MemoryMapping): Row {
  return [`0x${address.toString(16)}`, `${formatSize(size)}  ${access}  ${device ?? 'system'}`];
}
