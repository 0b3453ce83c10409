/** `vmmctl vsock listen`: takes connections and joins them to stdin and stdout, or to a program each. */
import { VmmctlCommand } from '../../cli/command.js';
import { UsageError } from '../../cli/errors.js';
import { arg, flag, option, optionOr } from '../../cli/flags.js';
import { parseInteger } from '../../cli/parse.js';
import type { VsockSocket } from '../../core/backend/port/vsock.js';
import { listenVsock, resolveCid } from '../../core/client/vsock.js';
import { stdioEnd, vsockEnd } from '../../core/relay/end.js';
import { relay } from '../../core/relay/relay.js';
import { blameOutput } from './output.js';
import { serveProgram } from './program.js';
import { listenPort, messageSize, parseSocketType, SOCKET_TYPES } from './words.js';

const BACKLOG = 128;

export default class VsockListen extends VmmctlCommand<typeof VsockListen> {
  static override summary = 'take vsock connections';
  static override description =
    'Takes one connection and joins it to stdin and stdout; with --keep-open goes on to the next. With --exec\n' +
    'each connection gets a process of its own (by the shell), which has VSOCK_PEER_CID, VSOCK_PEER_PORT and\n' +
    'VSOCK_LOCAL_PORT set; when one connection was asked for, its exit status is ours. Says on stderr when it\n' +
    'listens. PORT any takes a free port.';
  static override examples = [
    {
      description: 'Receive a file from a guest',
      command: 'vmmctl vsock listen 5000 > report.txt',
    },
    {
      description: 'An echo service in a guest',
      command: 'vmmctl --in web1 vsock listen 7000 --keep-open --exec cat',
    },
  ];
  static override guestView = true;
  static override args = { port: arg({ summary: 'port to listen on', convert: listenPort }) };
  static override flags = {
    'keep-open': flag({ char: 'k', summary: 'go on after the first connection' }),
    max: option({
      summary: 'connections that are served at a time, with --exec; 64 when left out',
      helpValue: 'N',
      convert: parseInteger(1, 65_536),
    }),
    exec: option({ summary: 'a program for each connection', helpValue: 'CMD' }),
    cid: option({ summary: 'take connections to that CID of ours alone', helpValue: 'CID' }),
    type: optionOr('stream', {
      summary: 'type of the socket',
      helpValue: 'TYPE',
      options: SOCKET_TYPES,
      convert: parseSocketType,
    }),
  };

  async run(): Promise<void> {
    const { cid, type, exec, max } = this.flags;
    if (max !== undefined && exec === undefined) {
      throw new UsageError('--max needs --exec', 'stdin and stdout can serve one connection');
    }
    const backend = await this.backend();
    const listener = await listenVsock(backend.machine(this.machine), {
      cid: await resolveCid(backend, cid ?? 'any'),
      port: this.args.port,
      type,
      backlog: BACKLOG,
    });
    const { port } = await listener.localAddress();
    this.note(`listening on vsock port ${port}`);
    if (type === 'dgram') await this.within((signal) => this.#join(listener, signal));
    else if (exec === undefined) await this.#serveStdio(listener);
    else await this.#serveProgram(listener, exec);
  }

  async #serveStdio(listener: VsockSocket): Promise<void> {
    do {
      const socket = await this.#accept(listener);
      if (!this.flags['keep-open']) await listener.close();
      await this.#join(socket).catch((error) => {
        if (!this.flags['keep-open'] || this.signal.aborted) throw error;
        this.fail(error);
      });
    } while (this.flags['keep-open']);
  }

  async #join(socket: VsockSocket, signal = this.signal): Promise<void> {
    const peer = await vsockEnd(socket);
    const own = stdioEnd(() => this.io.stdin, {
      keepOpen: this.flags['keep-open'],
      pieceSize: messageSize(socket.type),
    });
    await relay(own, peer, { signal }).catch((error) => blameOutput(this.io, error));
  }

  async #serveProgram(listener: VsockSocket, command: string): Promise<void> {
    const running = new Set<Promise<void>>();
    const max = this.flags.max ?? 64;
    do {
      const socket = await this.#accept(listener);
      const served = serveProgram(socket, command, this.signal).then(
        (status) => {
          if (!this.flags['keep-open']) this.status = status;
        },
        (error) => this.fail(error),
      );
      running.add(served);
      served.finally(() => running.delete(served)).catch(() => undefined);
      if (running.size >= max) await Promise.race(running);
    } while (this.flags['keep-open']);
    await listener.close();
    await Promise.all(running);
  }

  async #accept(listener: VsockSocket): Promise<VsockSocket> {
    const socket = await this.within((signal) => listener.accept({ signal }));
    if (this.flags.verbose) {
      const peer = await socket.peerAddress();
      this.verbose(`connection from ${peer.cid}:${peer.port}`);
    }
    return socket;
  }
}
