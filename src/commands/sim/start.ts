/** `vmmctl sim start`: starts a simulated host, with options if they differ from the defaults. */
import { VmmctlCommand } from '../../cli/command.js';
import { option } from '../../cli/flags.js';
import { parseDuration, parseInteger } from '../../cli/parse.js';
import { type SimulatorOptions, startSimulator } from '../../core/backend/simulator/control.js';
import { simulatedHost } from './host.js';

/** As the host takes them. */
const integer = parseInteger(0, 0x7fffffff);

export default class SimStart extends VmmctlCommand<typeof SimStart> {
  static override summary = 'start the simulated host';
  static override description =
    'It starts by itself at the first command that needs it; this command is for starting it with options,\n' +
    'which stay with it, or ahead of time. Starting one that runs is no error unless its options differ.';
  static override examples = [
    {
      description: 'A host whose vsock behaves as in Linux 6.1',
      command: 'vmmctl sim start --profile linux-6.1',
    },
    {
      description: 'A second host, for one test, that a seed makes repeatable',
      command: 'vmmctl sim start --backend sim:test --seed 42 --idle 5m',
    },
  ];
  static override bounded = true;
  static override flags = {
    profile: option({
      summary: 'whose vsock it imitates',
      options: ['linux-6.12', 'linux-6.1', 'patchset-2015'],
    }),
    'vmmctl-profile': option({
      summary: 'how its /dev/vmmctl behaves',
      options: ['landed', 'draft', 'freebsd-15.0', 'freebsd-14'],
    }),
    'vmci-profile': option({
      summary: 'whose drivers of VMCI it has',
      options: ['linux', 'vmware', 'freebsd'],
    }),
    policy: option({
      summary: 'who may connect to whom',
      options: ['isolated', 'refuse', 'siblings', 'host-connects'],
    }),
    'max-vms': option({
      summary: 'VMs that a user may have; 0 is any number',
      helpValue: 'N',
      convert: integer,
    }),
    cpus: option({
      summary: 'CPUs of the host',
      helpValue: 'N',
      convert: parseInteger(1, 0xffff),
    }),
    idle: option({
      summary: 'how long it stays when nothing is left in it; 0s is for ever',
      helpValue: 'DURATION',
      convert: parseDuration,
    }),
    seed: option({ summary: 'seed of its chance', helpValue: 'N', convert: integer }),
  };

  async run(): Promise<void> {
    const { flags } = this;
    const asked: SimulatorOptions = {
      profile: flags.profile,
      vmmctl: flags['vmmctl-profile'],
      vmci: flags['vmci-profile'],
      policy: flags.policy,
      maxVms: flags['max-vms'],
      cpus: flags.cpus,
      idleMs: flags.idle,
      seed: flags.seed,
    };
    const host = simulatedHost(this.backendUri);
    const work = startSimulator(host, asked);
    const status = await this.progress('starting the simulated host', work);
    if (flags.json) return this.json(status);
    const what = status.started ? 'started' : 'runs already';
    this.note(`simulated host '${status.host}' ${what} (process ${status.pid})`);
  }
}
