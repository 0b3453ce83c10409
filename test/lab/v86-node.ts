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
import { i386Program, type V86Lab } from './v86.js';
import type { V86Machine } from './v86-machine.js';

/** What is said to the program, by these ports; node-calls.c tells how. */
const PORT_COUNT = 0x5e0;
const PORT_READ = 0x5e4;
const PORT_WRITE = 0x5e8;
const OPEN = 1;
const IOCTL = 2;
const CLOSE = 3;
const INTERRUPT = 4;
const ENDED = 2;
/** Bytes of an argument and all that it points to, in the program. */
const BYTES_MAX = 65536;

/** How long to wait for what only takes long when it fails, milliseconds. */
const CALL_MS = 120_000;
/** A signal may come before the call that it is for; then another one is sent. */
const INTERRUPT_MS = 100;

/** Bytes of a parameter of HGCM. */
const SMALL = HGCMFunctionParameter32.size;
const LARGE = HGCMFunctionParameter64.size;
const CALL = vbg_ioctl_hgcm_call.size;
const ALIGNMENT = 8;

interface Answer {
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

/** The program that opens nodes and makes calls in the lab. */
export class NodeProgram {
  readonly #messages: Uint32Array[] = [];
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  /** Words of the message that is being read, and of the answer that is being written. */
  #read = 0;
  readonly #answer: number[] = [];
  #count = 0;

  static readonly file = () => i386Program('node-calls');

  constructor(machine: V86Machine) {
    machine.givePortWord(PORT_COUNT, () => this.#messages[0]?.length ?? 0);
    machine.givePortWord(PORT_READ, () => this.#nextWord());
    machine.onPortWord(PORT_WRITE, (word) => this.#written(word));
  }

  async start(lab: V86Lab): Promise<void> {
    await lab.output('node-calls >/tmp/node-calls 2>&1 &');
  }

  /** @throws SystemError what the lab's system gives. */
  async open(path: string): Promise<GuestNode> {
    const { result } = await this.#send({ what: OPEN, bytes: Buffer.from(`${path}\0`) });
    check(result, path, 'open');
    return new GuestNode(path, {
      ioctl: (request, bytes, relocations, signal) =>
        this.#ioctl({ what: IOCTL, fd: result, request, bytes, relocations }, signal),
      close: async () => {
        const closed = await this.#send({ what: CLOSE, fd: result });
        check(closed.result, path, 'close');
      },
    });
  }

  async #ioctl(message: Message, signal: AbortSignal | undefined): Promise<Answer> {
    const ended = this.#send(message);
    const id = this.#count;
    let timer: NodeJS.Timeout | undefined;
    const interrupt = () => {
      this.#queue({ what: INTERRUPT, request: id }, 0);
      timer = setTimeout(interrupt, INTERRUPT_MS);
    };
    signal?.addEventListener('abort', interrupt, { once: true });
    try {
      return await ended;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', interrupt);
    }
  }

  async #send(message: Message): Promise<Answer> {
    this.#count += 1;
    const id = this.#count;
    const ended = new Promise<Answer>((resolve) => this.#waiting.set(id, resolve));
    this.#queue(message, id);
    const answer = await within(CALL_MS, ended);
    if (answer === undefined) throw new Error(`the lab's program does not answer ${id}`);
    return answer;
  }

  #queue(
    { what, fd = 0, request = 0, bytes = new Uint8Array(), relocations = [] }: Message,
    id: number,
  ) {
    if (bytes.length > BYTES_MAX) throw new RangeError(`${bytes.length} bytes for a call`);
    const padded = new Uint8Array(bytes.length + (-bytes.length & 3));
    padded.set(bytes);
    const head = [what, id, fd, request, bytes.length, relocations.length, ...relocations.flat()];
    this.#messages.push(Uint32Array.from([...head, ...new Uint32Array(padded.buffer)]));
  }

  #nextWord(): number {
    const message = this.#messages[0];
    const word = message?.[this.#read] ?? 0;
    this.#read += 1;
    if (this.#read >= (message?.length ?? 0)) {
      this.#messages.shift();
      this.#read = 0;
    }
    return word;
  }

  #written(word: number): void {
    this.#answer.push(word);
    const [count = 0, id = 0, kind, result = 0, ...rest] = this.#answer;
    if (this.#answer.length <= count) return;
    this.#answer.length = 0;
    if (kind !== ENDED) return;
    const bytes = Buffer.from(Uint32Array.from(rest).buffer);
    this.#waiting.get(id)?.({ result: result | 0, bytes });
    this.#waiting.delete(id);
  }
}

interface Message {
  what: number;
  fd?: number;
  request?: number;
  bytes?: Uint8Array;
  /** Where in the bytes an address stands, and where in the bytes it points to. */
  relocations?: [number, number][];
}

interface Calls {
  ioctl(
    request: number,
    bytes: Uint8Array,
    relocations: [number, number][],
    signal: AbortSignal | undefined,
  ): Promise<Answer>;
  close(): Promise<void>;
}

export class GuestNode implements DeviceNode {
  readonly path: string;
  readonly #calls: Calls;

  constructor(path: string, calls: Calls) {
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
    const relocations: [number, number][] = [];
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

function check(result: number, path: string, syscall: string): void {
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
