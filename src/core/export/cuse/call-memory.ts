/** The memory of one ioctl: the argument and what it points to, as the kernel has copied it from the program. */
import { SentMemory } from '../../daemon/user-memory.js';
import type { UserMemory } from '../../simulator/node.js';
import type { UserRange } from './message.js';
import type { CallRanges } from './ranges.js';

export class CallMemory {
  /** The argument; empty for an ioctl that has none. */
  readonly argument: Uint8Array;
  /** What it points to. */
  readonly memory: UserMemory;
  readonly #ranges: CallRanges;
  readonly #buffers: readonly (UserRange & { bytes: Uint8Array })[];

  /** @param copied the bytes of all ranges that are copied from the program. */
  constructor(ranges: CallRanges, copied: Uint8Array) {
    this.#ranges = ranges;
    const [into, out] = [ranges.into[0]?.length ?? 0, outArgument(ranges)?.length ?? 0];
    this.argument = new Uint8Array(Math.max(into, out));
    this.argument.set(copied.subarray(0, into));
    let at = into;
    this.#buffers = ranges.into.slice(1).map((range) => {
      const bytes = copied.slice(at, at + range.length);
      at += range.length;
      return { ...range, bytes };
    });
    this.memory = new SentMemory(
      this.#buffers.map(({ base, bytes }) => ({ address: base, bytes })),
    );
  }

  /** What is copied to the program: the argument as the call has left it, and the buffers. */
  out(argument: Uint8Array | undefined): Uint8Array {
    const first = outArgument(this.#ranges);
    if (first !== undefined && argument === undefined) return new Uint8Array(0);
    const buffers = this.#ranges.out.slice(first === undefined ? 0 : 1);
    return Buffer.concat([
      argument?.subarray(0, first?.length ?? 0) ?? new Uint8Array(0),
      ...buffers.map((range) => this.memory.read(range.base, range.length)),
    ]);
  }
}

/** The argument among what is copied back. */
function outArgument({ out, argumentStays }: CallRanges): UserRange | undefined {
  return argumentStays === true ? undefined : out[0];
}
