/** `vmmctl vsock connect`: joins stdin and stdout to a vsock peer. */
import { VmmctlCommand } from '../../cli/command.js';
import { arg, option, optionOr } from '../../cli/flags.js';
import { parseDuration } from '../../cli/parse.js';
import { connectVsock, describeSend, resolveCid } from '../../core/client/vsock.js';
import { stdioEnd, vsockEnd } from '../../core/relay/end.js';
import { relay } from '../../core/relay/relay.js';
import { blameOutput } from './output.js';
import { messageSize, parseSocketType, peerCid, SOCKET_TYPES, vsockPort } from './words.js';

export default class VsockConnect extends VmmctlCommand<typeof VsockConnect> {
  static override summary = 'join stdin and stdout to a vsock peer';
  static override description =
    'End of input closes the sending half; the command ends when the peer closes. CID is a number, the name\n' +
    'of a VM, host (2) or local (1). Bytes pass unchanged, and nothing else is written to stdout. With\n' +
    '--type seqpacket or dgram each piece of input is one message.';
  static override examples = [
    {
      description: 'Talk to port 7000 of a guest',
      command: 'vmmctl vsock connect web1 7000',
    },
    {
      description: 'Send a file from a guest to the host',
      command: 'vmmctl --in web1 vsock connect host 5000 < report.txt',
    },
    {
      description: 'Wait up to ten seconds for the listener',
      command: 'vmmctl vsock connect web1 7000 --retry 10s',
    },
  ];
  static override guestView = true;
  static override args = {
    cid: arg({ summary: 'CID: a number, the name of a VM, host or local', convert: peerCid }),
    port: arg({ summary: 'port of the peer', convert: vsockPort }),
  };
  static override flags = {
    type: optionOr('stream', {
      summary: 'type of the socket',
      helpValue: 'TYPE',
      options: SOCKET_TYPES,
      convert: parseSocketType,
    }),
    'local-port': option({ summary: 'our own port', helpValue: 'N', convert: vsockPort }),
    retry: option({
      summary: 'go on trying for that time',
      helpValue: 'DURATION',
      convert: parseDuration,
    }),
  };

  async run(): Promise<void> {
    const backend = await this.backend();
    const { type, retry } = this.flags;
    const { cid, port } = this.args;
    const request = {
      name: cid,
      address: { cid: await resolveCid(backend, cid), port },
      type,
      localPort: this.flags['local-port'],
      timeoutMs: this.timeoutMs,
      retryMs: retry,
      canRetry: true,
    };
    const { signal } = this;
    const socket = await connectVsock(backend.machine(this.machine), request, { signal });
    this.verbose(`connected to ${cid}:${port}`);
    const peer = await vsockEnd(socket);
    const own = stdioEnd(() => this.io.stdin, { pieceSize: messageSize(type) });
    const { sent, received } = await relay(own, peer, { signal }).catch((error) =>
      blameOutput(this.io, describeSend(error, request)),
    );
    this.verbose(`${sent} bytes sent, ${received} received`);
  }
}
