/** `vmmctl boot`: a real Linux as the guest of a VM of the simulated host, in the foreground. */
import { dirname, resolve } from 'node:path';
import { VmmctlCommand } from '../cli/command.js';
import { CodeError, reportOf, UsageError } from '../cli/errors.js';
import { arg, flag, option } from '../cli/flags.js';
import { signalStatus } from '../cli/interrupts.js';
import type { Management, VmDetails } from '../core/backend/port.js';
import { type CommandLine, shellLine, shellWord } from '../core/client/boot/command-line.js';
import { type BootKind, checkPlan, type GuestPlan, type Kind } from '../core/client/boot/guest.js';
import { type GuestCommand, guestFiles } from '../core/client/boot/guest-files.js';
import { defaultKind, findKernel, type Kernel } from '../core/client/boot/kernels.js';
import { type Accelerator, qemuKind } from '../core/client/boot/qemu.js';
import { umlKind } from '../core/client/boot/uml.js';
import { requireManagement } from '../core/client/management.js';
import { offerDevices, usualSockets } from './boot/devices.js';
import {
  exampleDirectory,
  makeDirectory,
  removeDirectory,
  statusIn,
  writeGuestFiles,
} from './boot/directory.js';
import { accelerator, kernelPlaces, umlPlace } from './boot/places.js';
import { type KernelEnd, LOG_FD, RunningKernel } from './boot/running-kernel.js';
import { guestEnvironment, rawTerminal, terminalSize } from './boot/surroundings.js';
import { parseMemory } from './create-values.js';
import { vmName, withNearNames } from './vm-name.js';
import { refusedValue } from './vm-records.js';

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
    const way = this.#way();
    const kernel = findKernel(way, this.#files(), kernelPlaces(this.io.env));
    const management = requireManagement(await this.backend(), 'guests');
    const vm = await this.#vm(management);
    const kind = this.#kind(way, vm);
    const plan = this.#plan(way, vm, kernel);
    if (this.flags['dry-run']) return this.#print(kind.commandLine(plan));
    if (this.flags.init === undefined && !plan.terminal) {
      throw new UsageError('without a terminal there is nobody to talk to', 'give --init CMD');
    }
    const offered = await offerDevices(management, way, vm);
    const directory = makeDirectory(dirname(plan.directory));
    try {
      const booted = { ...plan, directory, sockets: offered.sockets, logFd: LOG_FD };
      writeGuestFiles(directory, guestFiles(kind, booted, this.#command(vm)), kernel.modules);
      await this.#runKernel(kind.commandLine(booted), directory);
    } finally {
      removeDirectory(directory);
      // The VM, or its host, may be gone by now; how the guest ended counts.
      await offered.withdraw().catch((error) => this.verbose(reportOf(error).message));
    }
  }

  #way(): BootKind {
    const { uml, qemu, initrd, accel } = this.flags;
    const kind = uml ? 'uml' : qemu ? 'qemu' : defaultKind(kernelPlaces(this.io.env));
    for (const [name, value] of Object.entries({ initrd, accel })) {
      if (value !== undefined && kind === 'uml') throw new UsageError(`--${name} needs --qemu`);
    }
    return kind;
  }

  /** As they were named, from the directory that we are in. */
  #files(): { kernel: string | undefined; initrd: string | undefined } {
    const { kernel, initrd } = this.flags;
    return { kernel: kernel && resolve(kernel), initrd: initrd && resolve(initrd) };
  }

  async #vm(management: Management): Promise<VmDetails> {
    const { vm: name } = this.args;
    let vm: VmDetails;
    try {
      vm = await management.inspect(name);
    } catch (error) {
      throw await withNearNames(error, await this.backend(), name);
    }
    if (vm.state !== 'running') return vm;
    throw new CodeError('EBUSY', `${name} runs a guest already`, 'end that one first');
  }

  #kind(way: BootKind, vm: VmDetails): Kind {
    if (way === 'qemu') return qemuKind(this.flags.accel ?? accelerator());
    return umlKind(umlPlace(this.io.env, this.#memory(vm), vm.cid ?? 0));
  }

  #memory(vm: VmDetails): number {
    return this.flags.memory ?? vm.memory ?? 0;
  }

  /** With the names that the directory and the sockets have when nothing stands in their way. */
  #plan(way: BootKind, vm: VmDetails, kernel: Kernel): GuestPlan {
    const { isTty } = this.io;
    const { quiet, verbose } = this.flags;
    const sockets = usualSockets(way, vm);
    const plan: GuestPlan = {
      cpus: vm.cpus ?? 1,
      memory: this.#memory(vm),
      kernel: kernel.path,
      initrd: kernel.initrd,
      directory: exampleDirectory(dirname(sockets.vsock)),
      sockets,
      terminal: isTty.stdin && isTty.stdout,
      messages: quiet ? 'none' : verbose ? 'all' : 'important',
    };
    try {
      checkPlan(plan);
    } catch (error) {
      throw refusedValue(error);
    }
    return plan;
  }

  #command({ name, cid }: VmDetails): GuestCommand {
    const { env } = this.io;
    return {
      // A longer one is refused by the kernel.
      hostname: name.slice(0, 64),
      command: this.flags.init ?? `exec ${shellWord(env.SHELL ?? '/bin/sh')} -i`,
      directory: process.cwd(),
      env: guestEnvironment(env, { VMMCTL_VM: name, VMMCTL_CID: String(cid ?? '') }),
      size: terminalSize(this.io),
    };
  }

  #print(line: CommandLine): void {
    const { env, program, args } = line;
    if (this.flags.json) this.json({ env, program, args });
    else this.out(`${shellLine(line)}\n`);
  }

  async #runKernel(line: CommandLine, directory: string): Promise<void> {
    this.verbose(shellLine(line));
    const { interrupts } = this.invocation;
    const restore = rawTerminal(this.io);
    const kernel = new RunningKernel(line, { directory, io: this.io });
    interrupts.delegate((name) => {
      this.status ||= signalStatus(name);
      kernel.end();
    });
    try {
      const end = await this.within((signal) => {
        signal.addEventListener('abort', () => kernel.end(), { once: true });
        return kernel.ended;
      });
      this.status ||= statusOfGuest(statusIn(directory), end);
    } finally {
      await kernel.clear();
      restore();
      interrupts.delegate(undefined);
    }
  }
}

/** @throws CodeError when the guest has not told how its command ended, and the kernel not ended well. */
function statusOfGuest(told: number | undefined, { status, signal }: KernelEnd): number {
  if (told !== undefined) return told;
  // The command has switched the guest off itself.
  if (status === 0) return 0;
  const how = signal === null ? `with status ${status}` : `by ${signal}`;
  throw new CodeError(
    'EIO',
    `the kernel ended ${how} before the guest's command did`,
    'what it said is shown with --verbose; --memory gives it more memory',
  );
}
