/** vsock sockets of a simulated host, as the port has them. */
import type { Socket as NetSocket } from 'node:net';
import { Duplex } from 'node:stream';
import { type ErrorCode, isErrorCode, SystemError } from '../../abi/errno.js';
import { encodeMessage, MessageReader } from '../../daemon/messages.js';
import type { CallOptions } from '../port/node.js';
import type {
  SocketOption,
  SocketType,
  VsockAddress,
  VsockSocket,
  VsockStream,
} from '../port/vsock.js';
import type { Connection } from './connection.js';

const OPTIONS: Readonly<Record<SocketOption, string>> = {
  SO_VM_SOCKETS_BUFFER_SIZE: 'size',
  SO_VM_SOCKETS_BUFFER_MIN_SIZE: 'min',
  SO_VM_SOCKETS_BUFFER_MAX_SIZE: 'max',
  SO_VM_SOCKETS_CONNECT_TIMEOUT: 'connect-timeout',
};

export class SimulatedSocket implements VsockSocket {
  readonly type: SocketType;
  readonly #connection: Connection;
  readonly #handle: number;
  #closed = false;
  #duplex: Duplex | undefined;

  constructor(connection: Connection, type: SocketType, handle: number) {
    this.#connection = connection;
    this.type = type;
    this.#handle = handle;
  }

  async bind(address: VsockAddress): Promise<void> {
    await this.#call('bind', address);
  }

  async listen(backlog: number): Promise<void> {
    await this.#call('listen', { backlog });
  }

  async accept(options: CallOptions = {}): Promise<VsockSocket> {
    const values = await this.#call('accept', {}, options);
    return new SimulatedSocket(this.#connection, this.type, Number(values.handle));
  }

  async connect(address: VsockAddress, options: CallOptions = {}): Promise<void> {
    await this.#call('connect', address, options);
  }

  async setOption(option: SocketOption, value: number): Promise<void> {
    await this.#call('setOption', { option: OPTIONS[option], value });
  }

  async getOption(option: SocketOption): Promise<number> {
    const values = await this.#call('getOption', { option: OPTIONS[option] });
    return Number(values.value);
  }

  async localAddress(): Promise<VsockAddress> {
    const values = await this.#call('addresses');
    return values.local as VsockAddress;
  }

  async peerAddress(): Promise<VsockAddress> {
    const { peer } = await this.#call('addresses');
    if (peer === undefined || peer === null) {
      throw new SystemError('ENOTCONN', { syscall: 'getpeername' });
    }
    return peer as VsockAddress;
  }

  async stream(): Promise<VsockStream> {
    const { hungUp, ended } = this.#fate();
    // Whoever takes the stream looks at `ended`; until then a failure must not count as unhandled.
    ended.catch(() => undefined);
    const values = await this.#call('stream');
    const socket = await this.#connection.openStream(String(values.token));
    const duplex = this.type === 'stream' ? socket : messageDuplex(socket);
    this.#duplex = duplex;
    return { duplex, hungUp, ended };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // What was written still goes out, up to here.
    this.#duplex?.end();
    await this.#call('closeSocket');
  }

  async #call(op: string, parameters: object = {}, { signal }: CallOptions = {}) {
    const all = { handle: this.#handle, ...parameters };
    const { values } = await this.#connection.call(op, all, { signal });
    return values;
  }

  /** How the connection goes on: what the daemon tells of it, until it is over. */
  #fate(): { hungUp: Promise<void>; ended: Promise<void> } {
    const connection = this.#connection;
    let hangUp: () => void = () => undefined;
    const hungUp = new Promise<void>((resolve) => {
      hangUp = resolve;
    });
    const ended = new Promise<void>((resolve, reject) => {
      const finish = (error?: SystemError) => {
        for (const stop of stops) stop();
        hangUp();
        if (error === undefined) resolve();
        else reject(error);
      };
      const stops = [
        connection.on('hungup', ({ socket }) => {
          if (socket === this.#handle) hangUp();
        }),
        connection.on('ended', ({ socket, error }) => {
          if (socket === this.#handle) finish(error === undefined ? undefined : broken(error));
        }),
      ];
      stops.push(connection.onClose(finish));
    });
    return { hungUp, ended };
  }
}

function broken(code: unknown): SystemError {
  const words: Partial<Record<ErrorCode, string>> = {
    ECONNRESET: 'the connection was reset',
    EPIPE: 'the peer closed before it had taken all bytes',
    EMSGSIZE: 'a message is longer than the peer takes',
    ENOMEM: 'a message is longer than the peer takes',
  };
  if (!isErrorCode(code)) return new SystemError('EIO', { syscall: 'vsock' });
  return new SystemError(code, { syscall: 'vsock', message: words[code] });
}

/** One chunk is one message, in both directions. */
function messageDuplex(socket: NetSocket): Duplex {
  const reader = new MessageReader();
  const duplex = new Duplex({
    readableObjectMode: true,
    read: () => socket.resume(),
    write: (chunk: Uint8Array, _encoding, done) => {
      if (socket.write(encodeMessage(chunk))) done();
      else socket.once('drain', () => done());
    },
    final: (done) => {
      socket.end();
      done();
    },
    destroy: (error, done) => {
      socket.destroy();
      done(error);
    },
  });
  socket.on('data', (chunk: Uint8Array) => {
    for (const message of reader.push(chunk)) if (!duplex.push(message)) socket.pause();
  });
  socket.on('end', () => duplex.push(null));
  socket.on('error', (error) => duplex.destroy(error));
  return duplex;
}
