/** `vmmctl run`: drives a vCPU, and shows why it comes back. */
import { VmmctlCommand } from '../cli/command.js';
import { UsageError } from '../cli/errors.js';
import { arg, flag, option, optionOr, options } from '../cli/flags.js';
import { parseInteger } from '../cli/parse.js';
import { SystemError } from '../core/abi/errno.js';
import { type KvmExit, type KvmHosts, REAL_MODE_SIZE } from '../core/backend/port/kvm.js';
import type { DeviceNode } from '../core/backend/port/node.js';
import type { Backend } from '../core/backend/port.js';
import { compareAbis } from '../core/client/exit-compare.js';
import { answered, kvmAnswer } from '../core/client/exit-input.js';
import type { Exit } from '../core/client/exits.js';
import { kvmOf } from '../core/client/kvm-choice.js';
import { decodeKvmExit } from '../core/client/kvm-exits.js';
import { requireManagement } from '../core/client/management.js';
import { withVm } from '../core/client/open-vm.js';
import { KERNEL_CPUSET_SIZE, newestAbi, RUN_ABIS } from '../core/client/run-abi.js';
import { activateVcpu, BHYVE_STATUS, exitsOf } from '../core/client/vcpu.js';
import { resetNode } from '../core/client/vm-power.js';
import { comparisonJson, comparisonText, differenceLines } from './run/compare-view.js';
import { printExits } from './run/exit-output.js';
import { readBounded } from './run/files.js';
import { abiName, abiPair, inputsOf, parseAddress, parseInput } from './run/words.js';
import { LAST_VCPU } from './vcpu-number.js';
import { vmBackend } from './vm-backend.js';
import { vmName, withNearNames } from './vm-name.js';
import { refusedValue } from './vm-records.js';

/** Bytes; what the simulated host takes. */
const MOST_PROGRAM = 65536;
/** Exits of each run that is compared, where nothing else is said: they are kept. */
const MOST_COMPARED = 1000;
const DEFAULT_AT = 0x1000;
/** What a run of KVM's vCPUs has no use for. */
const NOT_FOR_KVM = ['program', 'abi', 'compare', 'reset', 'cpuset-size'] as const;

export default class Run extends VmmctlCommand<typeof Run> {
  static override summary = 'run a vCPU and show its exits';
  static override description =
    'A vCPU runs until something needs attention: an exit, which is printed. The command goes on until --count, a HLT,\n' +
    'the end of the VM, --timeout (status 6) or Ctrl-C. On the simulated host the vCPU executes a program, lines of\n' +
    "text such as 'out 0x3f8 1 0x41' that vmmctl-run(1) lists; with KVM it executes a flat image of real mode.";
  static override examples = [
    { description: 'The exits of a program', command: 'vmmctl run web1 --program hello.exits' },
    {
      description: 'One that is typed',
      command: "echo 'ipi fixed 0x20 0,63,256' | vmmctl run web1 --program - --count 1",
    },
    {
      description: 'What FreeBSD 13 shows otherwise',
      command: 'vmmctl run web1 --program ipi.exits --compare 13,15',
    },
    {
      description: 'An image, with KVM',
      command: 'vmmctl run web1 --backend device --image boot.bin --at 0x1000 --timeout 2s',
    },
  ];
  static override bounded = true;
  static override args = { name: arg({ summary: 'name of the VM', convert: vmName }) };
  static override flags = {
    vcpu: optionOr('0', {
      summary: 'number of the vCPU',
      helpValue: 'N',
      convert: parseInteger(0, LAST_VCPU),
    }),
    program: option({
      summary: 'what it executes from now on; - is standard input',
      helpValue: 'FILE',
      exclusive: ['image'],
    }),
    image: option({ summary: 'a flat image of real mode, for KVM', helpValue: 'FILE' }),
    at: option({
      summary: 'where the image is in memory, and begins; 0x1000 when left out',
      helpValue: 'ADDR',
      convert: parseAddress,
    }),
    input: options({
      summary: 'what the guest reads at a port (repeatable)',
      helpValue: 'ADDR=VALUE',
      convert: parseInput,
    }),
    count: optionOr('0', {
      char: 'c',
      summary: 'end after so many exits; 0 is without end',
      helpValue: 'N',
      convert: parseInteger(0, Number.MAX_SAFE_INTEGER),
    }),
    abi: option({
      summary: 'the form of VM_RUN; the newest that the host knows when left out',
      helpValue: '13|15|grown',
      options: ['13', '15', 'grown'],
      convert: abiName,
      exclusive: ['compare'],
    }),
    compare: option({
      summary: 'reset the VM, run under two forms, and show what differs',
      helpValue: 'A,B',
      words: ['13,15', '13,grown', '15,grown'],
      convert: abiPair,
      exclusive: ['abi', 'image'],
    }),
    reset: flag({ summary: 'reset the VM before' }),
    raw: flag({ summary: 'show the bytes too' }),
    'cpuset-size': option({
      summary: `bytes for the CPUs of an IPI, in the form of 15; ${KERNEL_CPUSET_SIZE} when left out`,
      helpValue: 'BYTES',
      convert: parseInteger(0, 65536),
    }),
  };

  async run(): Promise<void> {
    const { at, image } = this.flags;
    if (at !== undefined && image === undefined) throw new UsageError('--at needs --image');
    const backend = await vmBackend(this);
    const { name } = this.args;
    try {
      const kvm = await this.#kvm(backend);
      if (kvm) await this.#runKvm(kvm);
      else await withVm(backend, name, (node) => this.#runNode(backend, node), this.#signalled);
    } catch (error) {
      throw await withNearNames(error, backend, name);
    }
  }

  get #signalled() {
    return { signal: this.signal };
  }

  async #runNode(backend: Backend, node: DeviceNode): Promise<void> {
    const { vcpu, compare, count, raw, abi } = this.flags;
    const load = await this.#loader(backend);
    const cpusetSize = this.flags['cpuset-size'] ?? KERNEL_CPUSET_SIZE;
    const shared = { cpusetSize, ...this.#signalled };
    if (compare) {
      const most = count === 0 ? MOST_COMPARED : count;
      const inputs = inputsOf(this.flags.input);
      const wanted = { ...shared, vcpu, inputs, count: most, prepare: load };
      const found = await compareAbis(node, this.args.name, compare, wanted);
      if (this.flags.json) this.json(comparisonJson(found, raw));
      else if (this.flags.quiet) this.out(differenceLines(found));
      else this.out(comparisonText(found, raw));
      return;
    }
    if (this.flags.reset) await resetNode(node, this.args.name, shared);
    await load();
    await activateVcpu(node, vcpu, shared);
    const form = abi === undefined ? newestAbi() : RUN_ABIS[abi];
    const exits = exitsOf(node, vcpu, { ...shared, abi: form });
    await this.#print(answered(exits, node, inputsOf(this.flags.input), shared));
  }

  /** What gives the vCPU its program, if there is one to give. */
  async #loader(backend: Backend): Promise<() => Promise<void>> {
    const { program, vcpu } = this.flags;
    if (program === undefined) return async () => undefined;
    const management = requireManagement(backend, 'programs for vCPUs');
    const bytes = await readBounded(this, program, MOST_PROGRAM);
    const text = Buffer.from(bytes).toString();
    return async () => {
      await management.setVcpuProgram(this.args.name, vcpu, text).catch((error) => {
        throw refusedValue(error, ['EINVAL', 'E2BIG']);
      });
    };
  }

  async #runKvm(kvm: KvmHosts): Promise<void> {
    const { vcpu, image, at = DEFAULT_AT } = this.flags;
    const bytes = image === undefined ? undefined : await readBounded(this, image, REAL_MODE_SIZE);
    const exits = kvm.run(this.args.name, {
      vcpu,
      image: bytes && { bytes, at },
      answer: kvmAnswer(inputsOf(this.flags.input)),
      signal: this.signal,
    });
    await this.#print(decoded(vcpu, exits));
  }

  async #print(exits: AsyncIterable<Exit>): Promise<void> {
    const { raw, count } = this.flags;
    this.endWithReader();
    const last = await printExits(this, exits, { raw, count });
    const how = last?.record.how;
    if (last?.record.exit !== 'SUSPENDED' || typeof how !== 'string') return;
    const status = BHYVE_STATUS[how];
    const bhyve = status === undefined ? '' : `, where bhyve(8) ends with ${status}`;
    this.verbose(`the VM is suspended: ${how.toLowerCase()}${bhyve}`);
  }

  async #kvm(backend: Backend): Promise<KvmHosts | undefined> {
    const { image } = this.flags;
    const kvm = await kvmOf(backend);
    if (kvm === undefined && image !== undefined) {
      throw new SystemError('EOPNOTSUPP', {
        message: `the VMs of '${backend.uri}' run no images`,
        hint: 'images need KVM: --backend device; the simulated host has programs: --program FILE',
      });
    }
    if (kvm === undefined) return undefined;
    const other = NOT_FOR_KVM.find((name) => {
      const value = this.flags[name];
      return value !== undefined && value !== false;
    });
    if (other === undefined) return kvm;
    throw new SystemError('EOPNOTSUPP', {
      message: `KVM has no --${other}`,
      hint: 'use the simulated host: --backend sim',
    });
  }
}

async function* decoded(vcpu: number, exits: AsyncIterable<KvmExit>): AsyncGenerator<Exit> {
  for await (const exit of exits) yield decodeKvmExit(vcpu, exit);
}
