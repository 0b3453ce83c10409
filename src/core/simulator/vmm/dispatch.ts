/**
 * Ioctls as a table: a row has what the dispatcher checks before the handler runs. As in FreeBSD
 * the whole number has to match, so the right number with a wrong size is unknown; a handler that
 * fails copies nothing out.
 */
import { SystemError } from '../../abi/errno.js';
import type { Ioctl } from '../../abi/freebsd-ioctl.js';
import type { FieldType } from '../../abi/layout.js';
import { type IoctlReply, NO_USER_MEMORY, PendingIoctl, type UserMemory } from '../node.js';

/**
 * What has to be so before a handler runs, and who may call. Names are those of vmm_dev.h without VMMDEV_IOCTL_. The first
 * int of an argument is the number of a vCPU in all rows that say something of one.
 */
export type RowFlag =
  /** The memory segments stay as they are, and nobody else changes them. */
  | 'SLOCK_MEMSEGS'
  | 'XLOCK_MEMSEGS'
  /** The vCPU is idle, or all are. */
  | 'LOCK_ONE_VCPU'
  | 'LOCK_ALL_VCPUS'
  /** The vCPU is one that the VM may have; with the second, -1 is allowed and means all. */
  | 'ALLOC_VCPU'
  | 'MAYBE_ALLOC_VCPU'
  /** The caller may drive devices. */
  | 'PRIV_CHECK_DRIVER';

/** One ioctl under way: the kernel's copy of the argument, and the caller's memory. */
export interface Call<Context> {
  readonly context: Context;
  /** The argument; no bytes where the ioctl has none. */
  readonly view: DataView;
  readonly memory: UserMemory;
  /** What the caller gets, with the argument as it is now. */
  reply(): IoctlReply;
}

/** One ioctl of a node. `Context` is what its handlers work on. */
export interface Row<Context> extends Ioctl<unknown> {
  readonly flags: readonly RowFlag[];
  /** Reads its argument from the view, and writes what it answers there. */
  readonly handler: (call: Call<Context>) => IoctlReply | PendingIoctl | undefined;
}

export type Table<Context> = ReadonlyMap<number, Row<Context>>;

/** Describes a row. The handler gives back the fields that it changes. */
export function row<Context, T>(
  ioctl: Ioctl<T>,
  flags: readonly RowFlag[],
  handler: (context: Context, argument: T, memory: UserMemory) => Partial<T> | undefined,
): Row<Context> {
  const { layout } = ioctl;
  return {
    ...ioctl,
    flags,
    handler: ({ context, view, memory }) => {
      if (layout === null) throw new TypeError(`${ioctl.name} has no argument`);
      const answer = handler(context, layout.read(view, 0), memory);
      if (answer !== undefined) writeFields(layout, view, answer);
      return undefined;
    },
  };
}

/** Describes a row of an ioctl without an argument. */
export function voidRow<Context>(
  ioctl: Ioctl<unknown>,
  flags: readonly RowFlag[],
  handler: (context: Context) => void,
): Row<Context> {
  return {
    ...ioctl,
    flags,
    handler: ({ context }) => {
      handler(context);
      return undefined;
    },
  };
}

/** A table from its rows. */
export function table<Context>(rows: readonly Row<Context>[]): Table<Context> {
  return new Map(rows.map((entry) => [entry.number, entry]));
}

export interface Request {
  readonly request: number;
  readonly argument: Uint8Array | number;
  readonly memory?: UserMemory | undefined;
}

/**
 * Finds the row of a request, and copies its argument.
 * @throws SystemError ENOTTY for a number without a row; EFAULT for an argument shorter than the
 * row's struct.
 */
export function prepare<Context>(
  rows: Table<Context>,
  context: Context,
  { request, argument, memory = NO_USER_MEMORY }: Request,
): { entry: Row<Context>; call: Call<Context> } {
  const entry = rows.get(request >>> 0);
  if (entry === undefined) throw new SystemError('ENOTTY', { syscall: 'ioctl' });
  if (entry.size === 0) {
    return { entry, call: { context, view: NO_ARGUMENT, memory, reply: () => ({ result: 0 }) } };
  }
  if (typeof argument === 'number' || argument.length < entry.size) {
    throw new SystemError('EFAULT', { syscall: 'ioctl' });
  }
  const data = argument.slice();
  // The kernel clears what is only copied out, so that nothing of its own memory gets there.
  if (entry.direction === 'out') data.fill(0, 0, entry.size);
  const view = new DataView(data.buffer, data.byteOffset, entry.size);
  const reply = () => (entry.direction === 'in' ? { result: 0 } : { result: 0, data });
  return { entry, call: { context, view, memory, reply } };
}

const NO_ARGUMENT = new DataView(new ArrayBuffer(0));

/** Runs the handler of a row. @throws SystemError as the handler says. */
export function run<Context>(entry: Row<Context>, call: Call<Context>): IoctlReply | PendingIoctl {
  return entry.handler(call) ?? call.reply();
}

/** A request to a table in which no row waits, and none has preconditions. @throws SystemError as `prepare` and `run`. */
export function dispatch<Context>(
  rows: Table<Context>,
  context: Context,
  request: number,
  argument: Uint8Array | number,
): IoctlReply {
  const { entry, call } = prepare(rows, context, { request, argument });
  const outcome = run(entry, call);
  if (outcome instanceof PendingIoctl) throw new TypeError(`${entry.name} waits`);
  return outcome;
}

/**
 * Writes single fields, so that the rest of the argument and its padding come back as they were
 * given.
 */
function writeFields<T>(layout: FieldType<T>, view: DataView, answer: Partial<T>): void {
  if (!('fields' in layout)) {
    layout.write(view, 0, answer as T);
    return;
  }
  const fields = layout.fields as { name: string; offset: number; type: FieldType<unknown> }[];
  const values = new Map<string, unknown>(Object.entries(answer));
  for (const { name, offset, type } of fields) {
    if (values.has(name)) type.write(view, offset, values.get(name));
  }
}
