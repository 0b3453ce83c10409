/** `vmmctl vsock perf`: how fast bytes reach a peer, and come from it. */
import { VmmctlCommand } from '../../cli/command.js';
import { arg, option, optionOr } from '../../cli/flags.js';
import { parseDuration, parseSize, roundedSize } from '../../cli/parse.js';
import { connectVsock, resolveCid } from '../../core/client/vsock.js';
import { vsockEnd } from '../../core/relay/end.js';
import { zerosEnd } from '../../core/relay/measure.js';
import { type RelayResult, relay } from '../../core/relay/relay.js';
import { peerCid, vsockPort } from './words.js';

export default class VsockPerf extends VmmctlCommand<typeof VsockPerf> {
  static override summary = 'measure throughput to a vsock peer';
  static override description =
    'Sends zeros for a while, closes the sending half, and waits until the peer has read all and closes too. What\n' +
    'the peer sends is counted and dropped. So anything that reads to the end is a peer, and what sends back what it\n' +
    'hears measures both directions at once. With --size 0 only the peer sends.';
  static override examples = [
    { description: 'For five seconds', command: 'vmmctl vsock perf web1 7000' },
    {
      description: 'A gigabyte, as bytes a second',
      command: 'vmmctl vsock perf web1 7000 --size 1G --json | jq .sentPerSecond',
    },
  ];
  static override guestView = true;
  static override args = {
    cid: arg({ summary: 'CID: a number, the name of a VM, host or local', convert: peerCid }),
    port: arg({ summary: 'port of the peer', convert: vsockPort }),
  };
  static override flags = {
    for: optionOr('5s', {
      summary: 'how long to send',
      helpValue: 'DURATION',
      convert: parseDuration,
    }),
    size: option({
      summary: 'how much to send, instead of how long',
      helpValue: 'SIZE',
      convert: parseSize,
      exclusive: ['for'],
    }),
  };

  async run(): Promise<void> {
    const { size } = this.flags;
    const peer = await vsockEnd(await this.#connect());
    const enough =
      size === undefined ? AbortSignal.timeout(this.flags.for) : new AbortController().signal;
    const begin = performance.now();
    const moved = await this.within((signal) =>
      relay(zerosEnd(size ?? Number.POSITIVE_INFINITY, enough), peer, { signal }),
    );
    this.#print(moved, performance.now() - begin);
  }

  async #connect() {
    const backend = await this.backend();
    const { cid, port } = this.args;
    const address = { cid: await resolveCid(backend, cid), port };
    const request = { name: cid, address, type: 'stream' as const, timeoutMs: this.timeoutMs };
    return connectVsock(backend.machine(this.machine), request, { signal: this.signal });
  }

  #print({ sent, received }: RelayResult, ms: number): void {
    const perSecond = (bytes: number) => Math.round((bytes / ms) * 1000);
    const [sentPerSecond, receivedPerSecond] = [perSecond(sent), perSecond(received)];
    if (this.flags.json) {
      this.json({ sent, received, ms, sentPerSecond, receivedPerSecond });
    } else if (this.flags.quiet) {
      this.out(`${sentPerSecond} ${receivedPerSecond}\n`);
    } else {
      const time = `in ${(ms / 1000).toFixed(3)} s`;
      this.out(`sent ${roundedSize(sent)} ${time}, ${roundedSize(sentPerSecond)}/s\n`);
      if (received === 0) return;
      this.out(`received ${roundedSize(received)} ${time}, ${roundedSize(receivedPerSecond)}/s\n`);
    }
  }
}
