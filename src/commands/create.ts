/** `vmmctl create`: makes a VM that stays, or one that lives as long as a command runs. */
import { VmmctlCommand } from '../cli/command.js';
import { reportOf, STATUS, StatusError, UsageError } from '../cli/errors.js';
import { arg, flag, option, optionOr, options } from '../cli/flags.js';
import { parseInteger, parseLabel } from '../cli/parse.js';
import { FIRST_GUEST_CID, LAST_GUEST_CID } from '../core/abi/vm-sockets.js';
import { type CreatedVm, createVm, type Hold } from '../core/client/vm.js';
import { checkTransport, parseMemory, parseTransport } from './create-values.js';
import { runProgram } from './run-program.js';
import { vmBackend } from './vm-backend.js';
import { vmName } from './vm-name.js';

const WEAK_HOLD =
  'this kernel has no destroy-on-close: the VM stays if vmmctl is killed (SIGKILL) before it ends';

export default class Create extends VmmctlCommand<typeof Create> {
  static override summary = 'create a VM';
  static override description =
    'The VM stays until it is destroyed; its name is printed. With --ephemeral it lives as long as this\n' +
    'command: while CMD runs (with VMMCTL_VM and VMMCTL_CID set), or until the end of input or a signal.\n' +
    "The exit status is then CMD's; 125 when we fail before it starts, 126 and 127 as env(1) has them.";
  static override examples = [
    {
      description: 'A VM with two CPUs and a gigabyte',
      command: 'vmmctl create web1 --cpus 2 --memory 1G',
    },
    {
      description: 'A VM with a CID and a label',
      command: 'vmmctl create db1 --cid 42 --label tier=db',
    },
    {
      description: "A VM with VMware's VMCI under its vsock",
      command: 'vmmctl create vmw1 --vsock-transport vmci',
    },
    {
      description: 'A VM for the time of a test',
      command: 'vmmctl create test1 --ephemeral -- make check',
    },
  ];
  static override usage =
    'create NAME [--cpus N] [--memory SIZE] [--cid N] [--label K=V]... [--vsock-transport virtio|vmci] [--ephemeral [-- CMD ARG...]]';
  static override rest = true;
  static override args = { name: arg({ summary: 'name of the VM', convert: vmName }) };
  static override flags = {
    cpus: optionOr('1', {
      summary: 'number of CPUs',
      helpValue: 'N',
      convert: parseInteger(1, 0xffff),
    }),
    memory: optionOr('512M', {
      summary: 'size of the memory, a multiple of 4K',
      helpValue: 'SIZE',
      convert: parseMemory,
    }),
    cid: option({
      summary: 'context id; the lowest free one from 3 when left out',
      helpValue: 'N',
      convert: parseInteger(FIRST_GUEST_CID, LAST_GUEST_CID),
    }),
    'vsock-transport': option({
      summary: 'what carries its vsock; virtio when left out',
      helpValue: 'virtio|vmci',
      options: ['virtio', 'vmci'],
      convert: parseTransport,
    }),
    label: options({ summary: 'a label (repeatable)', helpValue: 'K=V', convert: parseLabel }),
    ephemeral: flag({ summary: 'destroy the VM when this command ends' }),
  };

  async run(): Promise<void> {
    const [program] = this.argv;
    if (program !== undefined && !this.flags.ephemeral) {
      throw new UsageError('a command after -- needs --ephemeral');
    }
    const created = await this.#create().catch((error) => {
      throw program === undefined ? error : new StatusError(STATUS.beforeCommand, error);
    });
    const { vm, hold } = created;
    this.verbose(`created ${vm.name}${vm.cid === null ? '' : `, CID ${vm.cid}`}`);
    // Whoever waits for the name then knows what holds the VM.
    if (hold?.by === 'client') this.note(WEAK_HOLD);
    if (program === undefined) this.#print(created);
    if (!hold) return;
    try {
      if (program === undefined) await this.#untilEndOfInput();
      else await this.#runProgram(created);
    } finally {
      // The status of the program counts, also when the host is gone and the VM with it.
      await (program === undefined
        ? hold.close()
        : hold.close().catch((e) => this.#sayOfEnd(hold, e)));
    }
  }

  /** One that the kernel ends is gone with whatever held it. */
  #sayOfEnd(hold: Hold, error: unknown): void {
    const { message } = reportOf(error);
    if (hold.by === 'client') this.note(message);
    else this.verbose(`the VM is gone: ${message}`);
  }

  async #create(): Promise<CreatedVm> {
    const { cpus, memory, cid, label, ephemeral } = this.flags;
    const vsockTransport = this.flags['vsock-transport'];
    const labels = Object.fromEntries(label);
    const request = { name: this.args.name, cpus, memory, cid, labels, ephemeral, vsockTransport };
    const work = this.within(async (signal) => {
      const backend = await vmBackend(this);
      if (vsockTransport !== undefined) checkTransport(backend);
      return createVm(backend, request, { signal });
    });
    return this.progress(`creating ${this.args.name}`, work);
  }

  #print({ vm }: CreatedVm): void {
    if (this.flags.json) this.json(vm);
    else this.out(`${vm.name}\n`);
  }

  async #untilEndOfInput(): Promise<void> {
    const { stdin, isTty } = this.io;
    if (isTty.stdin) this.note('the VM lives until the end of input (Ctrl-D) or Ctrl-C');
    await new Promise<void>((resolve) => {
      stdin
        .on('end', resolve)
        .on('close', resolve)
        .on('error', () => resolve())
        .resume();
      this.signal.addEventListener('abort', () => resolve());
      if (this.signal.aborted) resolve();
    });
    stdin.pause();
  }

  async #runProgram({ vm }: CreatedVm): Promise<void> {
    const env: Record<string, string | undefined> = {
      ...this.io.env,
      VMMCTL_VM: vm.name,
      VMMCTL_BACKEND: this.backendUri,
      VMMCTL_CID: vm.cid === null ? undefined : String(vm.cid),
    };
    this.status = await runProgram(this.argv, { env, interrupts: this.invocation.interrupts });
  }
}
