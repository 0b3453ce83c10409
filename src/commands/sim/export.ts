/** `vmmctl sim export`: offers a VM, or the host, to programs that know nothing of vmmctl. */
import { VmmctlCommand } from '../../cli/command.js';
import { UsageError } from '../../cli/errors.js';
import { flag, optionalArg, options } from '../../cli/flags.js';
import type { ExportKind, ExportRecord } from '../../core/backend/port/vm.js';
import type { Management } from '../../core/backend/port.js';
import { requireManagement } from '../../core/client/management.js';
import { vmName, withNearNames } from '../vm-name.js';
import { simulatedHost } from './host.js';

const DEVICES: Readonly<Record<string, ExportKind>> = {
  vsock: 'vhost-user-vsock',
  balloon: 'vhost-user-balloon',
};

export default class SimExport extends VmmctlCommand<typeof SimExport> {
  static override summary = 'offer a VM to programs that know nothing of vmmctl';
  static override description =
    'Prints the paths of the sockets or nodes, one a line. What is offered already stays as it is; it ends with --off,\n' +
    'and with the VM, and is offered again when the simulated host starts anew. A kernel that takes a device of\n' +
    "--vhost-user is the guest of the VM from then on, instead of the simulated one. 'vmmctl inspect' shows what is\n" +
    'offered.';
  static override examples = [
    {
      description: 'The socket at which QEMU or user-mode Linux finds the virtio socket device',
      command: 'vmmctl sim export web1 --vhost-user vsock',
    },
    {
      description: "The guest's /dev/vboxguest, /dev/vboxuser and /dev/vmci on this machine",
      command: 'vmmctl sim export web1 --cuse',
    },
    {
      description: 'The socket that takes CONNECT PORT',
      command: 'vmmctl sim export web1 --unix',
    },
    { description: "The host's own /dev/vmmctl", command: 'vmmctl sim export --host --cuse' },
    {
      description: 'No more of it',
      command: 'vmmctl sim export web1 --vhost-user vsock --off',
    },
  ];
  static override usage =
    'sim export VM [--vhost-user DEVICE]... [--cuse] [--unix] [--off] | --host --cuse [--off]';
  static override bounded = true;
  static override args = {
    vm: optionalArg({ summary: 'name of the VM', convert: vmName }),
  };
  static override flags = {
    'vhost-user': options({
      summary: 'a virtio device for a real kernel, at a socket',
      helpValue: 'DEVICE',
      options: Object.keys(DEVICES),
      convert: deviceKind,
    }),
    cuse: flag({ summary: 'device nodes on this machine, by CUSE' }),
    unix: flag({ summary: 'the hybrid vsock socket, which is always there', exclusive: ['off'] }),
    host: flag({
      summary: "the host's nodes instead of a VM's",
      exclusive: ['vhost-user', 'unix'],
    }),
    off: flag({ summary: 'offer it no more' }),
  };

  async run(): Promise<void> {
    const kinds = this.#kinds();
    const owner = this.#owner();
    simulatedHost(this.backendUri);
    const backend = await this.backend();
    const management = requireManagement(backend, 'exports');
    const done: ExportRecord[] = [];
    try {
      for (const kind of kinds) done.push(await this.#perform(management, owner, kind));
    } catch (error) {
      throw owner === undefined ? error : await withNearNames(error, backend, owner);
    }
    if (this.flags.json) return this.json({ vm: owner ?? null, exports: done });
    this.out(done.flatMap(({ paths }) => paths.map((path) => `${path}\n`)).join(''));
  }

  #kinds(): ExportKind[] {
    const { flags } = this;
    const kinds = new Set<ExportKind>(flags['vhost-user']);
    if (flags.cuse) kinds.add('cuse');
    if (flags.unix) kinds.add('hybrid-vsock');
    if (kinds.size > 0) return [...kinds];
    throw new UsageError('how is missing', 'give --vhost-user DEVICE, --cuse or --unix');
  }

  /** A VM's name, or undefined for the host. */
  #owner(): string | undefined {
    const { vm } = this.args;
    if (this.flags.host === (vm === undefined)) return vm;
    throw new UsageError(vm === undefined ? 'VM is missing' : '--host takes no VM');
  }

  async #perform(
    management: Management,
    owner: string | undefined,
    kind: ExportKind,
  ): Promise<ExportRecord> {
    if (!this.flags.off) {
      return owner === undefined
        ? await management.exportHost({ kind })
        : await management.exportVm(owner, { kind });
    }
    if (owner === undefined) await management.unexportHost(kind);
    else await management.unexportVm(owner, { kind });
    return { kind, paths: [] };
  }
}

function deviceKind(text: string): ExportKind {
  const kind = DEVICES[text];
  if (kind !== undefined) return kind;
  throw new UsageError(`no device '${text}'`, `the devices are ${Object.keys(DEVICES).join(', ')}`);
}
