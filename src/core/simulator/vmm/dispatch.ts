/**
 * Ioctls as a table: a row has what the dispatcher checks before the handler runs. As in FreeBSD
 * the whole number has to match, so the right number with a wrong size is unknown; a handler that
 * fails copies nothing out.
 */
import { SystemError } from '../../abi/errno.js';
import type { Ioctl } from '../../abi/freebsd-ioctl.js';
import type { FieldType } from '../../abi/layout.js';
import type { IoctlReply } from '../node.js';

/**
 * LOCK_ONE_VCPU: the argument's first int is the number of a vCPU, which must be one that the VM
 * may have.
 */
export type RowFlag = 'LOCK_ONE_VCPU';

/** One ioctl of a node. `Context` is what its handlers work on. */
export interface Row<Context> extends Ioctl<unknown> {
  readonly flags: readonly RowFlag[];
  /** Reads its argument from the view, and writes the fields that it answers there. */
  readonly handler: (context: Context, view: DataView) => void;
}

export type Table<Context> = ReadonlyMap<number, Row<Context>>;

/** Describes a row. The handler gives back the fields that it changes. */
export function row<Context, T>(
  ioctl: Ioctl<T>,
  flags: readonly RowFlag[],
  handler: (context: Context, argument: T) => Partial<T> | undefined,
): Row<Context> {
  const { layout } = ioctl;
  return {
    ...ioctl,
    flags,
    handler: (context, view) => {
      if (layout === null) throw new TypeError(`${ioctl.name} has no argument`);
      const answer = handler(context, layout.read(view, 0));
      if (answer !== undefined) writeFields(layout, view, answer);
    },
  };
}

/** Describes a row of an ioctl without an argument. */
export function voidRow<Context>(
  ioctl: Ioctl<unknown>,
  handler: (context: Context) => void,
): Row<Context> {
  return { ...ioctl, flags: [], handler };
}

/** A table from its rows. */
export function table<Context>(rows: readonly Row<Context>[]): Table<Context> {
  return new Map(rows.map((entry) => [entry.number, entry]));
}

/**
 * Finds the row of a request and runs it.
 * @throws SystemError ENOTTY for a number without a row; EFAULT for an argument shorter than the
 * row's struct.
 */
export function dispatch<Context>(
  rows: Table<Context>,
  context: Context,
  request: number,
  argument: Uint8Array | number,
  precondition?: (entry: Row<Context>, view: DataView) => void,
): IoctlReply {
  const entry = rows.get(request >>> 0);
  if (entry === undefined) throw new SystemError('ENOTTY', { syscall: 'ioctl' });
  if (entry.size === 0) {
    entry.handler(context, new DataView(new ArrayBuffer(0)));
    return { result: 0 };
  }
  if (typeof argument === 'number' || argument.length < entry.size) {
    throw new SystemError('EFAULT', { syscall: 'ioctl' });
  }
  const data = argument.slice();
  // The kernel clears what is only copied out, so that nothing of its own memory gets there.
  if (entry.direction === 'out') data.fill(0, 0, entry.size);
  const view = new DataView(data.buffer, data.byteOffset, entry.size);
  precondition?.(entry, view);
  entry.handler(context, view);
  return entry.direction === 'in' ? { result: 0 } : { result: 0, data };
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
