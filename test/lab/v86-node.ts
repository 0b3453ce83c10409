/**
 * Nodes of a lab in v86, as the clients see nodes: what a client asks for is done by a program in the lab. So the
 * clients, the real driver and the simulated device are tried together.
 */
import { codeOf, SystemError } from '../../src/core/abi/errno.js';
import { HGCMFunctionParameter32, HGCMFunctionParameter64 } from '../../src/core/abi/hgcm.js';
import {
  VBG_IOCTL_HGCM_CALL_32,
  VBG_IOCTL_HGCM_CALL_64,
  vbg_ioctl_hdr,
  vbg_ioctl_hgcm_call,
} from '../../src/core/abi/vboxguest.js';
import type {
  DeviceNode,
  IoctlOptions,
  IoctlResult,
  Pointer,
} from '../../src/core/backend/port/node.js';

/** Bytes of a parameter of HGCM. */
const SMALL = HGCMFunctionParameter32.size;
const LARGE = HGCMFunctionParameter64.size;
const CALL = vbg_ioctl_hgcm_call.size;
const ALIGNMENT = 8;

/** Where in some bytes an address stands, and where in the bytes it points to. */
export type Relocation = readonly [at: number, to: number];

export interface Answer {
  result: number;
  bytes: Buffer;
}

/** A call as the lab's system, which has 32 bits, takes it. */
interface SmallCall {
  request: number;
  argument: Uint8Array;
  pointers: readonly Pointer[];
  /** Makes an answer one to the call as it was. */
  widen(answer: Uint8Array): Uint8Array;
}

/** An open node, in the program. */
export interface NodeCalls {
  ioctl(
    request: number,
    bytes: Uint8Array,
    relocations: readonly Relocation[],
    signal: AbortSignal | undefined,
  ): Promise<Answer>;
  close(): Promise<void>;
}

export class GuestNode implements DeviceNode {
  readonly path: string;
  readonly #calls: NodeCalls;

  constructor(path: string, calls: NodeCalls) {
    this.path = path;
    this.#calls = calls;
  }

  async ioctl(
    request: number,
    argument: Uint8Array | number = 0,
    { signal, pointers = [] }: IoctlOptions = {},
  ): Promise<IoctlResult> {
    if (typeof argument === 'number') throw new RangeError('the argument has to be in memory');
    const small = narrowed(request, argument, pointers);
    const parts: Uint8Array[] = [small.argument];
    const relocations: Relocation[] = [];
    let end = small.argument.length;
    for (const { at, to } of small.pointers) {
      const gap = -end & (ALIGNMENT - 1);
      relocations.push([at, end + gap]);
      parts.push(new Uint8Array(gap), to);
      end += gap + to.length;
    }
    const answer = await this.#calls.ioctl(
      small.request,
      Buffer.concat(parts),
      relocations,
      signal,
    );
    check(answer.result, this.path, 'ioctl');
    small.pointers.forEach(({ to }, index) => {
      const at = relocations[index]?.[1] ?? 0;
      to.set(answer.bytes.subarray(at, at + to.length));
    });
    const data = small.widen(answer.bytes.subarray(0, small.argument.length));
    return { result: answer.result, data };
  }

  /** Calls that are under way never end. */
  close(): Promise<void> {
    return this.#calls.close();
  }
}

/** @throws SystemError for what is an error of the lab's system. */
export function check(result: number, path: string, syscall: string): void {
  if (result >= 0) return;
  const code = codeOf(-result, 'linux');
  if (code === undefined) throw new Error(`${path}: ${syscall} gives error ${-result}`);
  throw new SystemError(code, { path, syscall });
}

/** Only calls of HGCM differ between systems of 64 and of 32 bits: a parameter is 16 or 12 bytes. */
function narrowed(request: number, argument: Uint8Array, pointers: readonly Pointer[]): SmallCall {
  const isCall = argument.length >= CALL && argument.length < 16384;
  if (!isCall || request !== VBG_IOCTL_HGCM_CALL_64(argument.length)) {
    return { request, argument, pointers, widen: (answer) => answer };
  }
  const count = (argument.length - CALL) / LARGE;
  const small = new Uint8Array(CALL + count * SMALL);
  small.set(argument.subarray(0, CALL));
  small.set(resized(argument.subarray(CALL), LARGE, SMALL), CALL);
  small.set(
    vbg_ioctl_hdr.encode({
      ...vbg_ioctl_hdr.decode(argument),
      size_in: small.length,
      size_out: small.length,
    }),
  );
  return {
    request: VBG_IOCTL_HGCM_CALL_32(small.length),
    argument: small,
    pointers: pointers.map(({ at, to }) => {
      const index = Math.floor((at - CALL) / LARGE);
      return { at: at - index * (LARGE - SMALL), to };
    }),
    widen: (answer) =>
      Buffer.concat([answer.subarray(0, CALL), resized(answer.subarray(CALL), SMALL, LARGE)]),
  };
}

/** Items of one size as items of another: type and value, or type, size and the address' lower half, come first. */
function resized(items: Uint8Array, from: number, to: number): Uint8Array {
  const count = items.length / from;
  const result = new Uint8Array(count * to);
  for (let i = 0; i < count; i++) {
    result.set(items.subarray(i * from, i * from + Math.min(from, to)), i * to);
  }
  return result;
}
