/** A client of the simulated host that makes the protocol's calls as it likes. */
import { connect, type Socket } from 'node:net';
import { encodeFrame, type Frame, FrameReader } from '../../src/core/daemon/wire.js';
import type { Host } from './host.js';

export class ControlClient {
  readonly #socket: Socket;
  readonly #reader = new FrameReader();
  readonly #waiting = new Map<number, (frame: Frame) => void>();
  #next = 1;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      for (const frame of this.#reader.push(chunk))
        this.#waiting.get(Number(frame.json.id))?.(frame);
    });
  }

  static open(host: Host): Promise<ControlClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(`${host.runtime}/sim.sock`);
      socket.once('error', reject);
      socket.write('VMMCTL/1 control {}\n');
      // The first line comes alone: nothing was asked for yet.
      socket.once('data', () => resolve(new ControlClient(socket)));
    });
  }

  /** The number of the call is given to `begun`. */
  async call(
    op: string,
    parameters: object,
    begun: (id: number) => void = () => undefined,
    bytes?: Uint8Array,
  ) {
    const id = this.#next++;
    const answer = new Promise<Frame>((resolve) => this.#waiting.set(id, resolve));
    for (const part of encodeFrame({ id, op, ...parameters }, bytes)) this.#socket.write(part);
    begun(id);
    const { json, binary } = await answer;
    const { ok, error } = json as { ok?: Record<string, unknown>; error?: { code: string } };
    return { ok: ok ?? {}, code: error?.code, binary };
  }

  cancel(call: number): void {
    for (const part of encodeFrame({ id: 0, op: 'cancel', call })) this.#socket.write(part);
  }

  close(): void {
    this.#socket.destroy();
  }
}
