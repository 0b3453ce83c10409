/** `vmmctl doctor`: what a machine offers, what is missing, and how to get it. */
import { userInfo } from 'node:os';
import { VmmctlCommand } from '../cli/command.js';
import { args, flag } from '../cli/flags.js';
import { painter } from '../cli/paint.js';
import { escapeControls } from '../cli/view/escape.js';
import { SystemError } from '../core/abi/errno.js';
import type { Machine } from '../core/backend/port.js';
import { examine, kernelOf } from '../core/client/examine.js';
import type { KernelName } from '../core/client/hints.js';
import { PROBES } from '../core/client/host.js';
import { isUsable, lacking, wantedChecks } from './doctor-choice.js';
import { type Check, checkName, checkOf, doctorPage } from './doctor-view.js';
import { ownChecks } from './own-checks.js';

/** What `--strict` ends with. */
const NOT_USABLE = 7;

/** What connecting says where there is no machine to ask: no system calls can be made, or a simulated host doesn't run. */
const NO_MACHINE = { device: 'EOPNOTSUPP', simulated: 'ENXIO' } as const;

export default class Doctor extends VmmctlCommand<typeof Doctor> {
  static override summary = 'show what this machine offers, and how to get what is missing';
  static override description =
    'Asks each device node and vsock what it can do, and says which commands it is good for. Nothing is changed,\n' +
    'and no simulated host is started. With names only those are looked at: paths, names or headings of the list.\n' +
    'It is about this machine, unless --backend or --in name a simulated one.';
  static override examples = [
    { description: 'All that there is', command: 'vmmctl doctor' },
    {
      description: 'Whether a script can go on: KVM and vhost are there and may be used',
      command: 'vmmctl doctor --strict --quiet /dev/kvm /dev/vhost-vsock',
    },
    {
      description: 'What is missing',
      command: 'vmmctl doctor --json | jq --raw-output \'.checks[] | select(.state != "ok").name\'',
    },
  ];
  static override bounded = true;
  static override guestView = true;
  static override startsHost = false;
  static override args = {
    name: args({ summary: 'what to look at; all when left out', convert: checkName }),
  };
  static override flags = {
    strict: flag({ summary: 'end with status 7 unless all that is named, or anything, is usable' }),
  };

  async run(): Promise<void> {
    const machine = await this.#connect();
    const simulated = this.backendUri !== 'device';
    const kernel = machine === undefined || simulated ? undefined : await kernelOf(machine);
    const names = this.args.name;
    const found = machine === undefined ? [] : await this.#examine(machine, kernel);
    const own = await ownChecks(this.backendUri, this.invocation.connect);
    const checks = wantedChecks([...found, ...own], names);
    const usable = isUsable(checks, names);
    await this.#show(checks, usable, kernel);
    if (this.flags.strict && !usable) this.#notUsable(checks);
  }

  /** This machine, if nothing else is named. */
  override get backendUri(): string {
    const { origin } = this.setting('backend', this.flags.backend);
    if (origin !== 'default') return super.backendUri;
    return this.machine === 'host' ? 'device' : 'sim';
  }

  /** Undefined where nothing can be asked; why not is among our own checks. */
  async #connect(): Promise<Machine | undefined> {
    const name = this.machine;
    try {
      await this.backend();
    } catch (error) {
      const kind = this.backendUri === 'device' ? 'device' : 'simulated';
      const expected = error instanceof SystemError && error.code === NO_MACHINE[kind];
      const asked = name !== 'host' || this.flags.as !== undefined || this.flags.jail !== undefined;
      if (!expected || asked) throw error;
      return undefined;
    }
    const backend = await this.backend();
    if (name !== 'host') await backend.management?.vm(name.vm);
    return backend.machine(name);
  }

  async #examine(machine: Machine, kernel: KernelName | undefined): Promise<Check[]> {
    const commands = Object.keys(await this.invocation.commands());
    const found = await examine(machine, PROBES, { kernel, user: userName() });
    // What only a real machine could have is no lack of a simulated one.
    const shown =
      this.backendUri === 'device' || this.args.name.length > 0
        ? found
        : found.filter(({ state }) => state !== 'missing');
    return shown.map((each) => checkOf(each, commands));
  }

  #notUsable(checks: readonly Check[]): void {
    this.status = NOT_USABLE;
    const names = this.args.name;
    const what = names.length > 0 ? lacking(checks, names).join(', ') : 'anything of this machine';
    this.note(`vmmctl: doctor: not usable: ${escapeControls(what)}`);
  }

  async #show(
    checks: readonly Check[],
    usable: boolean,
    kernel: KernelName | undefined,
  ): Promise<void> {
    if (this.flags.json) {
      const machine = this.machine === 'host' ? 'host' : this.machine.vm;
      const about = { backend: this.backendUri, machine, kernel: kernel ?? null, usable };
      return this.json({ ...about, checks });
    }
    if (this.flags.quiet) {
      const names = checks.filter(({ state }) => state === 'ok').map(({ name }) => name);
      return this.out(names.map((name) => `${escapeControls(name)}\n`).join(''));
    }
    this.out(doctorPage(checks, await painter(this.io.color.stdout)));
  }
}

/** Not everybody has a name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? 'USER');
  }
}
