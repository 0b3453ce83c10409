/** The form of the tables of /dev/vmci's ioctls. */
import { type ErrorCode, SystemError } from '../../abi/errno.js';
import { type FieldType, fromBytes, toBytes } from '../../abi/layout.js';
import type { IoctlReply, UserMemory } from '../node.js';
import type { VmciContext } from './context.js';
import type { VmciDriver } from './driver.js';

/** Who calls, and as what. */
export interface Call {
  readonly driver: VmciDriver;
  readonly context: VmciContext;
  /** What the open node speaks now; its context keeps the version that it was made with. */
  readonly version: number;
  readonly memory: UserMemory;
}

/** A call that needs a context. */
export interface Row {
  /** The versions that have it; all when left out. */
  readonly since?: number | undefined;
  readonly before?: number | undefined;
  run(call: Call, argument: Uint8Array | number): IoctlReply;
}

/** What a call changes in its argument; `result` is VMCI's, the ioctl itself gives 0. */
export type Change<T> = Partial<T>;

/** A row whose argument is a struct. */
export function row<T extends object>(
  layout: FieldType<T>,
  act: (call: Call, argument: T) => Change<T>,
  versions: Pick<Row, 'since' | 'before'> = {},
): Row {
  return {
    ...versions,
    run: (call, argument) => {
      const value = read(layout, argument);
      return changed(argument, toBytes(layout, { ...value, ...act(call, value) }));
    },
  };
}

/** What an argument points to. @throws SystemError EFAULT when it points to less. */
export function read<T>(layout: FieldType<T>, argument: Uint8Array | number): T {
  if (typeof argument === 'number' || argument.length < layout.size) return fail('EFAULT');
  return fromBytes(layout, argument);
}

/** The argument with another beginning. */
export function changed(argument: Uint8Array | number, begin: Uint8Array): IoctlReply {
  if (typeof argument === 'number') return fail('EFAULT');
  const data = argument.slice();
  data.set(begin);
  return { result: 0, data };
}

export function fail(code: ErrorCode): never {
  throw new SystemError(code, { syscall: 'ioctl', path: '/dev/vmci' });
}
