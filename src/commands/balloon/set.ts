/** `vmmctl balloon set`: asks a guest to give up memory, or to take it back. */
import { VmmctlCommand } from '../../cli/command.js';
import { CodeError, isCodedError } from '../../cli/errors.js';
import { arg, flag } from '../../cli/flags.js';
import { formatSize, parseSize } from '../../cli/parse.js';
import { barLine } from '../../cli/progress.js';
import { SystemError } from '../../core/abi/errno.js';
import type { BalloonRecord } from '../../core/backend/port/guest.js';
import type { Management } from '../../core/backend/port.js';
import { waitForBalloon } from '../../core/client/balloon-wait.js';
import { requireManagement } from '../../core/client/management.js';
import { vmName, withNearNames } from '../vm-name.js';
import { refusedValue } from '../vm-records.js';

export default class BalloonSet extends VmmctlCommand<typeof BalloonSet> {
  static override summary = 'set the size of the memory balloon of a VM';
  static override description =
    'The guest is asked to make its balloon SIZE, rounded up to the unit of the device; 0 takes all back. It does\n' +
    'so in its own time. With --wait the command ends when it has, or fails with what was reached when the guest\n' +
    'does not move for 3 seconds, or when --timeout is over.';
  static override examples = [
    { description: 'Ask for 128 MiB', command: 'vmmctl balloon set web1 128M' },
    {
      description: 'Give all of it back, and wait for that',
      command: 'vmmctl balloon set web1 0 --wait --timeout 30s',
    },
  ];
  static override args = {
    vm: arg({ summary: 'name of the VM', convert: vmName }),
    size: arg({ summary: 'size of the balloon', convert: parseSize }),
  };
  static override flags = {
    wait: flag({ char: 'w', summary: 'wait until the balloon has that size' }),
  };

  /** The target before this command, bytes. */
  #wanted: number | null = null;

  async run(): Promise<void> {
    let last: BalloonRecord | undefined;
    const work = (signal: AbortSignal) =>
      this.#set(signal, (record) => {
        last = record;
      });
    const record = await this.within(work).catch((error) => {
      throw isLate(error) && last ? this.#notReached(last) : error;
    });
    if (this.flags.json) this.json(record);
  }

  async #set(signal: AbortSignal, onLook: (record: BalloonRecord) => void): Promise<BalloonRecord> {
    const management = requireManagement(await this.backend(), 'balloons');
    if (this.flags.wait) this.#wanted = await wantedNow(management, this.args.vm);
    const asked = await this.#ask(management);
    onLook(asked);
    this.verbose(`asked ${asked.vm} for a balloon of ${formatSize(asked.target ?? 0)}`);
    return this.flags.wait ? this.#wait(management, asked, { signal, onLook }) : asked;
  }

  async #ask(management: Management): Promise<BalloonRecord> {
    const { vm, size } = this.args;
    let record: BalloonRecord;
    try {
      record = await management.setBalloon(vm, size);
    } catch (error) {
      throw refusedValue(await withNearNames(error, await this.backend(), vm));
    }
    if (record.target === Math.ceil(size / record.unit) * record.unit) return record;
    throw notTaken(record);
  }

  async #wait(
    management: Management,
    asked: BalloonRecord,
    options: { signal: AbortSignal; onLook(record: BalloonRecord): void },
  ): Promise<BalloonRecord> {
    const { vm } = this.args;
    const target = asked.target ?? 0;
    const line = this.#line();
    const look = async () => {
      const [record] = await management.balloons(vm);
      if (record === undefined) throw new SystemError('ENOENT', { message: `no VM '${vm}'` });
      return record;
    };
    const onLook = (record: BalloonRecord) => {
      options.onLook(record);
      line?.update(doneShare(asked, record), `${vm} ${reached(record)}`);
    };
    try {
      const { end, record } = await waitForBalloon(look, target, { ...options, onLook });
      if (end === 'overtaken') throw overtaken(record);
      if (end === 'stopped') throw this.#notReached(record);
      this.verbose(`the balloon has ${formatSize(target)}`);
      return record;
    } finally {
      line?.end();
    }
  }

  #notReached(record: BalloonRecord): CodeError {
    return record.target === this.#wanted ? notToldAgain(record) : notReached(record);
  }

  #line(): ReturnType<typeof barLine> | undefined {
    const shown = this.io.isTty.stderr && !this.flags.quiet && !this.flags.json;
    return shown && this.io.env.TERM !== 'dumb' ? barLine(this.io.stderr) : undefined;
  }
}

function isLate(error: unknown): boolean {
  return isCodedError(error) && error.code === 'ETIMEDOUT';
}

/** Of the way from where it began, from 0 to 1. */
function doneShare(from: BalloonRecord, { actual }: BalloonRecord): number {
  const start = from.actual ?? 0;
  const way = (from.target ?? 0) - start;
  return way === 0 ? 1 : ((actual ?? 0) - start) / way;
}

function reached({ actual, target }: BalloonRecord): string {
  return `${formatSize(actual ?? 0)} of ${formatSize(target ?? 0)}`;
}

/** Null where there is no such VM, which the next call says. */
async function wantedNow(management: Management, vm: string): Promise<number | null> {
  const [record] = await management.balloons(vm).catch(() => []);
  return record?.target ?? null;
}

function whatWasReached(record: BalloonRecord): string {
  const [actual, target] = [record.actual ?? 0, record.target ?? 0];
  if (actual < target) return `the balloon reached ${reached(record)}`;
  return `the balloon still has ${formatSize(actual)}, and not ${formatSize(target)}`;
}

/** A host tells its guest nothing of a size that it has asked for already, and the guest does not try again by itself. */
function notToldAgain(record: BalloonRecord): CodeError {
  return new CodeError(
    'ETIMEDOUT',
    `${whatWasReached(record)}: that size was asked for before, and its host does not tell a guest twice`,
    'ask for another size first, and then for this one again',
  );
}

function notReached(record: BalloonRecord): CodeError {
  return new CodeError(
    'ETIMEDOUT',
    whatWasReached(record),
    `the guest is busy, short of memory, or does not take part; 'vmmctl balloon ${record.vm}' shows what it does later`,
  );
}

/** VirtualBox takes the size that the guest has read last for no change, also when another was set since then. */
function notTaken({ target, vm }: BalloonRecord): CodeError {
  return new CodeError(
    'EBUSY',
    `the target stays ${formatSize(target ?? 0)}, which the guest has not read yet`,
    `try again when 'vmmctl balloon ${vm}' shows that it has, or ask for another size`,
  );
}

function overtaken(record: BalloonRecord): CodeError {
  const target = formatSize(record.target ?? 0);
  return new CodeError('EBUSY', `somebody else has asked for ${target} meanwhile`);
}
