/**
 * The program that opens nodes and makes calls in a lab in v86, seen from outside: what it reads and writes by ports.
 * programs/node-calls.c tells how.
 */
import { within } from './machine.js';
import { i386Program, type V86Lab } from './v86.js';
import type { V86Machine } from './v86-machine.js';
import { type Answer, check, GuestNode, type Relocation } from './v86-node.js';

const PORT_COUNT = 0x5e0;
const PORT_READ = 0x5e4;
const PORT_WRITE = 0x5e8;
const OPEN = 1;
const IOCTL = 2;
const CLOSE = 3;
const INTERRUPT = 4;
const ENDED = 2;
/** Bytes of an argument and all that it points to. */
const BYTES_MAX = 65536;

/** How long to wait for what only takes long when it fails, milliseconds. */
const CALL_MS = 120_000;
/** A signal may come before the call that it is for; then another one is sent. */
const INTERRUPT_MS = 100;

interface Message {
  what: number;
  fd?: number;
  request?: number;
  bytes?: Uint8Array;
  relocations?: readonly Relocation[];
}

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
