/**
 * Nodes of VirtualBox' driver in a lab in v86, as the clients see nodes: what a client asks for is done by a program in
 * the lab. So the clients, the real driver and the simulated device are tried together.
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
} from '../../src/core/backend/port.js';
import { within } from './machine.js';
import type { V86Lab } from './v86.js';

/** The program in test/lab/programs that the lab needs. */
export const NODE_PROGRAM = 'vbox-ioctl';

/** How long to wait for what only takes long when it fails, milliseconds. */
const OPEN_MS = 30_000;
const CALL_MS = 120_000;
/** A node may be open for that long. */
const OPEN_FOR_MS = 600_000;

/** Bytes of a parameter of HGCM, and where the address of a buffer is in it. */
const SMALL = HGCMFunctionParameter32.size;
const LARGE = HGCMFunctionParameter64.size;
const CALL = vbg_ioctl_hgcm_call.size;
/** What an argument points to is aligned to this. */
const ALIGNMENT = 8;

interface Call {
  /** Inside the lab. */
  process?: number;
  readonly signal: AbortSignal | undefined;
  ended(result: number, bytes: Buffer): void;
  failed(error: unknown): void;
}

/** A call as the lab's system, which has 32 bits, takes it. */
interface SmallCall {
  request: number;
  argument: Uint8Array;
  pointers: readonly Pointer[];
  /** Makes an answer one to the call as it was. */
  widen(answer: Uint8Array): Uint8Array;
}

let nodes = 0;

export class GuestNode implements DeviceNode {
  readonly path: string;
  readonly #lab: V86Lab;
  readonly #pipe: string;
  readonly #program: Promise<unknown>;
  readonly #calls = new Map<number, Call>();
  /** Of the program's memory for arguments. */
  #address = 0;
  #count = 0;

  /** @throws SystemError what the lab's system gives. */
  static async open(lab: V86Lab, path: string): Promise<GuestNode> {
    nodes += 1;
    const name = `node${nodes}`;
    await lab.output(`mkfifo /tmp/${name}`);
    let opened: (result: number) => void = () => undefined;
    const result = new Promise<number>((resolve) => {
      opened = resolve;
    });
    const node = new GuestNode(lab, path, name, opened);
    const answer = await within(OPEN_MS, result);
    if (answer === undefined) throw new Error(`${path}: ${NODE_PROGRAM} does not answer`);
    check(answer, path, 'open');
    return node;
  }

  private constructor(lab: V86Lab, path: string, name: string, opened: (result: number) => void) {
    this.#lab = lab;
    this.path = path;
    this.#pipe = `/tmp/${name}`;
    lab.onAnswer(name, ([verb, ...words]) => {
      const [first = 0, second = 0] = words.map(Number);
      if (verb === 'opened') {
        this.#address = second >>> 0;
        opened(first);
      }
      if (verb === 'started') this.#started(first, second);
      if (verb === 'ended') this.#forget(first)?.ended(second, Buffer.from(words[2] ?? '', 'hex'));
    });
    const command = `${NODE_PROGRAM} ${path} ${name} <>${this.#pipe} >/dev/ttyS1`;
    this.#program = lab.run(command, { timeoutMs: OPEN_FOR_MS });
    // It ends with the lab at the latest, which nobody has to hear of from here.
    this.#program.catch(() => undefined);
  }

  async ioctl(
    request: number,
    argument: Uint8Array | number = 0,
    { signal, pointers = [] }: IoctlOptions = {},
  ): Promise<IoctlResult> {
    if (typeof argument === 'number') throw new RangeError('the argument has to be in memory');
    const small = narrowed(request, argument, pointers);
    const { bytes, places } = placed(small.argument, small.pointers, this.#address);
    const answer = await within(CALL_MS, this.#call(small.request, bytes, signal));
    if (answer === undefined) throw new Error(`${this.path}: no end of ioctl ${request}`);
    const [result, after] = answer;
    check(result, this.path, 'ioctl');
    for (const { at, to } of places) to.set(after.subarray(at, at + to.length));
    return { result, data: small.widen(after.subarray(0, small.argument.length)) };
  }

  /** Calls that are under way never end. */
  async close(): Promise<void> {
    this.#send(0, 0, new Uint8Array());
    await this.#program;
  }

  #call(
    request: number,
    bytes: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<[number, Buffer]> {
    this.#count += 1;
    const id = this.#count;
    return new Promise((resolve, reject) => {
      this.#calls.set(id, {
        signal,
        ended: (result, after) => resolve([result, after]),
        failed: reject,
      });
      signal?.addEventListener('abort', () => this.#interrupt(id), { once: true });
      this.#send(request, id, bytes);
    });
  }

  #send(request: number, id: number, bytes: Uint8Array): void {
    this.#lab.put(this.#pipe, Buffer.concat([words(request, id, bytes.length), bytes]));
  }

  #started(id: number, process: number): void {
    const call = this.#calls.get(id);
    if (call === undefined) return;
    call.process = process;
    if (call.signal?.aborted) this.#interrupt(id);
  }

  /** Again and again, since the first signal may come before the call. */
  #interrupt(id: number): void {
    const call = this.#calls.get(id);
    if (call?.process === undefined) return;
    const kill = `while kill -USR1 ${call.process}; do sleep 0.1; done`;
    this.#lab.run(kill).catch((error) => call.failed(error));
  }

  #forget(id: number): Call | undefined {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    return call;
  }
}

function check(result: number, path: string, syscall: string): void {
  if (result >= 0) return;
  const code = codeOf(-result, 'linux');
  if (code === undefined) throw new Error(`${path}: ${syscall} gives error ${-result}`);
  throw new SystemError(code, { path, syscall });
}

/** An argument and what it points to in one piece of memory that begins at an address. */
function placed(argument: Uint8Array, pointers: readonly Pointer[], address: number) {
  const parts: Uint8Array[] = [argument.slice()];
  const view = new DataView(parts[0]?.buffer ?? new ArrayBuffer(0));
  const places: { at: number; to: Uint8Array }[] = [];
  let end = argument.length;
  for (const { at, to } of pointers) {
    const gap = -end & (ALIGNMENT - 1);
    view.setUint32(at, address + end + gap, true);
    places.push({ at: end + gap, to });
    parts.push(new Uint8Array(gap), to);
    end += gap + to.length;
  }
  return { bytes: Buffer.concat(parts), places };
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

function words(...values: number[]): Buffer {
  return Buffer.from(Uint32Array.from(values).buffer);
}
