/** `vmmctl sim fault`: makes a simulated guest misbehave. */
import { VmmctlCommand } from '../../cli/command.js';
import { UsageError } from '../../cli/errors.js';
import { flag, option, optionalArg } from '../../cli/flags.js';
import { parseDuration } from '../../cli/parse.js';
import type { Fault } from '../../core/backend/port/vm.js';
import type { Management } from '../../core/backend/port.js';
import { FAULT_KINDS } from '../../core/client/faults.js';
import { requireManagement } from '../../core/client/management.js';
import { vmName, withNearNames } from '../vm-name.js';
import { refusedValue } from '../vm-records.js';
import { faultColumns, faultKind, parseFault } from './fault-words.js';
import { simulatedHost } from './host.js';

export default class SimFault extends VmmctlCommand<typeof SimFault> {
  static override summary = 'make a simulated guest misbehave';
  static override description =
    'A fault stays until it is cleared, or for the time of --for. KIND is one of those that --list shows; one\n' +
    "that takes a value is written KIND=VALUE. 'vmmctl inspect' shows the faults of a VM.";
  static override examples = [
    {
      description: 'A guest that gives up no memory',
      command: 'vmmctl sim fault web1 balloon-refuse',
    },
    {
      description: 'A guest that is silent for ten seconds',
      command: 'vmmctl sim fault web1 heartbeat-stop --for 10s',
    },
    { description: 'A guest that is slow', command: 'vmmctl sim fault web1 balloon-lag=100ms' },
    { description: 'All is well again', command: 'vmmctl sim fault web1 --clear' },
    { description: 'Which kinds there are', command: 'vmmctl sim fault --list' },
  ];
  static override usage = 'sim fault VM KIND[=VALUE] [--for DURATION] | VM --clear [KIND] | --list';
  static override bounded = true;
  static override args = {
    vm: optionalArg({ summary: 'name of the VM', convert: vmName }),
    kind: optionalArg({
      summary: 'what goes wrong, KIND or KIND=VALUE',
      words: FAULT_KINDS.map(({ kind, value }) => (value === 'none' ? kind : `${kind}=`)),
    }),
  };
  static override flags = {
    for: option({
      summary: 'end it by itself after that time',
      helpValue: 'DURATION',
      exclusive: ['clear', 'list'],
      convert: parseDuration,
    }),
    clear: flag({ summary: 'end a fault, or all of the VM', exclusive: ['for', 'list'] }),
    list: flag({ summary: 'show the kinds of faults', exclusive: ['for', 'clear'] }),
  };

  async run(): Promise<void> {
    if (this.flags.list) return this.#list();
    const { vm } = this.args;
    if (vm === undefined) throw new UsageError('VM is missing', "see 'vmmctl sim fault --help'");
    simulatedHost(this.backendUri);
    const change = this.#change(vm);
    const backend = await this.backend();
    const management = requireManagement(backend, 'faults');
    try {
      await change(management);
    } catch (error) {
      throw refusedValue(await withNearNames(error, backend, vm));
    }
    if (this.flags.json) this.json({ vm, faults: (await management.inspect(vm)).faults });
  }

  /** What is to be done, when the words make sense. */
  #change(vm: string): (management: Management) => Promise<void> {
    const { kind } = this.args;
    if (this.flags.clear) {
      const cleared = kind === undefined ? undefined : faultKind(kind).kind;
      return (management) => management.clearFault(vm, cleared);
    }
    if (kind === undefined) {
      throw new UsageError('KIND is missing', "'vmmctl sim fault --list' shows the kinds");
    }
    const fault: Fault = { ...parseFault(kind), forMs: this.flags.for };
    return (management) => management.setFault(vm, fault);
  }

  async #list(): Promise<void> {
    if (this.args.vm !== undefined) throw new UsageError('--list takes no names');
    if (this.flags.json) return this.json(FAULT_KINDS);
    if (this.flags.quiet) return this.out(FAULT_KINDS.map(({ kind }) => `${kind}\n`).join(''));
    await this.table(FAULT_KINDS, faultColumns());
  }
}
