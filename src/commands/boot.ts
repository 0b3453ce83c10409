/** `vmmctl boot`: a real Linux as the guest of a VM of the simulated host, in the foreground. */
import { dirname } from 'node:path';
import { VmmctlCommand } from '../cli/command.js';
import { CodeError, reportOf, UsageError } from '../cli/errors.js';
import { arg, flag, option } from '../cli/flags.js';
import { signalStatus } from '../cli/interrupts.js';
import type { VmDetails } from '../core/backend/port/vm.js';
import type { Management } from '../core/backend/port.js';
import { type CommandLine, shellLine } from '../core/client/boot/command-line.js';
import { guestFiles } from '../core/client/boot/guest-files.js';
import type { Accelerator } from '../core/client/boot/qemu.js';
import { requireManagement } from '../core/client/management.js';
import { deviceSockets, offerDevices } from './boot/devices.js';
import { makeDirectory, removeDirectory, statusIn, writeGuestFiles } from './boot/directory.js';
import { bootKernel, bootKind, bootPlan, bootWay, guestCommand } from './boot/plan.js';
import { LOG_FD, RunningKernel, statusOfGuest } from './boot/running-kernel.js';
import { rawTerminal } from './boot/surroundings.js';
import { suspendedBefore, suspendedMeanwhile } from './boot/suspension.js';
import { parseMemory } from './create-values.js';
import { vmName, withNearNames } from './vm-name.js';

export default class Boot extends VmmctlCommand<typeof Boot> {
  static override summary = 'boot a real Linux as the guest of a VM';
  static override description =
    "The kernel runs in the foreground, as your own user, with its terminal on this command's input and output. It\n" +
    "reaches the simulated host by the VM's CID, over vhost-user. It sees this machine's files, read-only, with /tmp,\n" +
    '/run and /dev of its own. CMD is run by the shell, as root of the guest; when it ends the guest is switched off,\n' +
    "and the exit status is CMD's. Without --init it is an interactive shell. Ctrl-C on a terminal goes to the guest.";
  static override examples = [
    { description: 'A shell in a real guest', command: 'vmmctl boot web1' },
    {
      description: 'A service in a real guest',
      command: "vmmctl boot web1 --uml --init 'socat VSOCK-LISTEN:7000,fork EXEC:cat'",
    },
    {
      description: 'What would be run',
      command: 'vmmctl boot web1 --uml --dry-run',
    },
  ];
  static override args = { vm: arg({ summary: 'name of the VM', convert: vmName }) };
  static override flags = {
    uml: flag({
      summary: 'user-mode Linux; the default where it is installed',
      exclusive: ['qemu'],
    }),
    qemu: flag({ summary: 'QEMU; the default otherwise', exclusive: ['uml'] }),
    kernel: option({
      summary: "the kernel's file; that of the machine when left out",
      helpValue: 'FILE',
    }),
    initrd: option({ summary: 'an initramfs for it (only with QEMU)', helpValue: 'FILE' }),
    accel: option({
      summary: 'how QEMU runs it; kvm where it may be used',
      helpValue: 'kvm|tcg',
      options: ['kvm', 'tcg'],
      convert: (text: string) => text as Accelerator,
    }),
    init: option({ summary: 'a command for the shell; a shell when left out', helpValue: 'CMD' }),
    memory: option({
      summary: "size of its memory; the VM's when left out",
      helpValue: 'SIZE',
      convert: parseMemory,
    }),
    'dry-run': flag({ summary: 'print the command line, and do nothing' }),
  };

  async run(): Promise<void> {
    const { flags, io } = this;
    const way = bootWay(flags, io.env);
    const kernel = bootKernel(way, flags, io.env);
    const management = requireManagement(await this.backend(), 'guests');
    const vm = await this.#vm(management);
    const kind = bootKind(way, vm, flags, io.env);
    const sockets = await deviceSockets(management, way, vm.name);
    const plan = bootPlan(vm, kernel, sockets, flags, io);
    if (flags['dry-run']) return this.#print(kind.commandLine(plan));
    if (flags.init === undefined && !plan.terminal) {
      throw new UsageError('without a terminal there is nobody to talk to', 'give --init CMD');
    }
    const offered = await offerDevices(management, way, vm.name);
    const directory = makeDirectory(dirname(plan.directory));
    try {
      const booted = { ...plan, directory, sockets: offered.sockets, logFd: LOG_FD };
      writeGuestFiles(
        directory,
        guestFiles(kind, booted, guestCommand(vm, flags, io)),
        kernel.modules,
      );
      await this.#runKernel(kind.commandLine(booted), directory, management);
    } finally {
      removeDirectory(directory);
      // The VM, or its host, may be gone by now; how the guest ended counts.
      await offered.withdraw().catch((error) => this.verbose(reportOf(error).message));
    }
  }

  async #vm(management: Management): Promise<VmDetails> {
    const { vm: name } = this.args;
    let vm: VmDetails;
    try {
      vm = await management.inspect(name);
    } catch (error) {
      throw await withNearNames(error, await this.backend(), name);
    }
    if (vm.state === 'running') {
      throw new CodeError('EBUSY', `${name} runs a guest already`, 'end that one first');
    }
    if (vm.state === 'suspended') throw suspendedBefore(vm);
    return vm;
  }

  #print(line: CommandLine): void {
    const { env, program, args } = line;
    if (this.flags.json) this.json({ env, program, args });
    else this.out(`${shellLine(line)}\n`);
  }

  async #runKernel(line: CommandLine, directory: string, management: Management): Promise<void> {
    this.verbose(shellLine(line));
    const { interrupts } = this.invocation;
    const restore = rawTerminal(this.io);
    const kernel = new RunningKernel(line, { directory, io: this.io });
    interrupts.delegate((name) => {
      this.status ||= signalStatus(name);
      kernel.end();
    });
    const watching = new AbortController();
    const stopped = this.#stopped(management, watching.signal).catch((error) => {
      if (this.status === 0) throw error;
      // A signal ends it already.
      return kernel.ended;
    });
    try {
      const end = await this.within((signal) => {
        signal.addEventListener('abort', () => kernel.end(), { once: true });
        return Promise.race([kernel.ended, stopped]);
      });
      this.status ||= statusOfGuest(statusIn(directory), end);
    } finally {
      watching.abort();
      await kernel.clear();
      restore();
      interrupts.delegate(undefined);
    }
  }

  /** @throws when the guest must not run any more: its VM is suspended for good or destroyed, or its host is gone. */
  async #stopped(management: Management, signal: AbortSignal): Promise<never> {
    const { vm: name } = this.args;
    const reason = await management.suspension(name, { signal });
    throw suspendedMeanwhile(name, reason);
  }
}
