/** `vmmctl vsock cat`: relays bytes between two endpoints of any kind. */
import { VmmctlCommand } from '../../cli/command.js';
import { UsageError } from '../../cli/errors.js';
import { arg, flag, optionalArg } from '../../cli/flags.js';
import { transferLine } from '../../cli/progress.js';
import type { End } from '../../core/relay/end.js';
import { type Endpoint, endpointName, isListener } from '../../core/relay/endpoint.js';
import { makeOpener, type Opener, type Surroundings } from '../../core/relay/open.js';
import { relay } from '../../core/relay/relay.js';
import { blameOutput } from './output.js';
import { endpoint } from './words.js';

export default class VsockCat extends VmmctlCommand<typeof VsockCat> {
  static override summary = 'relay bytes between two endpoints';
  static override description =
    'The second endpoint is - when left out. An endpoint is -, CID:PORT, vsock-listen:PORT, unix:PATH,\n' +
    'unix-listen:PATH, tcp:HOST:PORT, tcp-listen:[ADDR:]PORT (loopback unless ADDR is given), exec:CMD or\n' +
    'file:PATH (read as the first, written as the second). With --fork every connection to the first, which\n' +
    'listens, is joined to the second, opened anew. Fit for the ProxyCommand of ssh.';
  static override examples = [
    {
      description: 'Talk to port 7000 of a guest',
      command: 'vmmctl vsock cat web1:7000',
    },
    {
      description: 'Offer port 80 of a guest at TCP port 8080 of this machine',
      command: 'vmmctl vsock cat tcp-listen:8080 web1:80 --fork',
    },
    {
      description: 'Log in to a guest by vsock',
      command: "ssh -o ProxyCommand='vmmctl vsock cat %h:22' web1",
    },
  ];
  static override guestView = true;
  static override args = {
    first: arg({ summary: 'an endpoint', convert: endpoint }),
    second: optionalArg({ summary: 'another; - when left out', convert: endpoint }),
  };
  static override flags = {
    fork: flag({ summary: 'serve every connection to the first endpoint' }),
    progress: flag({ summary: 'show on stderr how much was moved' }),
  };

  async run(): Promise<void> {
    const { first } = this.args;
    const second: Endpoint = this.args.second ?? { kind: 'stdio' };
    if (first.kind === 'stdio' && second.kind === 'stdio') {
      throw new UsageError('both endpoints are stdin and stdout', 'give another one');
    }
    if (this.flags.fork) this.#checkFork(first, second);
    const around: Surroundings = {
      signal: this.signal,
      backend: () => this.backend(),
      machine: async () => (await this.backend()).machine(this.machine),
      stdin: () => this.io.stdin,
      onListen: (name) => this.note(`listening on ${name}`),
      timeoutMs: this.timeoutMs,
    };
    const openers = {
      first: await makeOpener(first, 'first', around),
      second: await makeOpener(second, 'second', around),
    };
    try {
      if (this.flags.fork) await this.#serve(openers.first, openers.second, endpointName(second));
      else await this.#once(openers.first, openers.second);
    } finally {
      await openers.first.close().catch(() => undefined);
      await openers.second.close().catch(() => undefined);
    }
  }

  #checkFork(first: Endpoint, second: Endpoint): void {
    if (!isListener(first)) {
      throw new UsageError('--fork needs a first endpoint that listens', 'such as tcp-listen:8080');
    }
    if (isListener(second) || second.kind === 'stdio' || second.kind === 'file') {
      throw new UsageError('--fork needs a second endpoint that can be opened many times');
    }
  }

  async #once(first: Opener, second: Opener): Promise<void> {
    const [one, other] = await this.#openBoth(first, second);
    const show = this.flags.progress ? transferLine(this.io) : undefined;
    const { sent, received } = await relay(one, other, {
      signal: this.signal,
      onProgress: show?.update,
    })
      .finally(() => show?.end())
      .catch((error) => blameOutput(this.io, error));
    this.verbose(`${sent} bytes one way, ${received} back`);
  }

  /** Those who connect to us come first: nobody else is bothered while we wait for them. */
  async #openBoth(first: Opener, second: Opener): Promise<[End, End]> {
    const order = second.listens && !first.listens ? [second, first] : [first, second];
    const opened: End[] = [];
    try {
      for (const opener of order) {
        opened.push(await opener.next());
        // Whoever comes later is refused, and does not wait for nothing.
        await opener.close();
      }
    } catch (error) {
      for (const end of opened) end.destroy();
      throw error;
    }
    const [a, b] = opened as [End, End];
    return order[0] === first ? [a, b] : [b, a];
  }

  async #serve(first: Opener, second: Opener, name: string): Promise<void> {
    for (;;) {
      const one = await first.next();
      this.verbose(`a connection for ${name}`);
      second
        .next()
        .then((other) => relay(one, other, { signal: this.signal }))
        .catch((error) => {
          one.destroy();
          if (!this.signal.aborted) this.fail(error);
        });
    }
  }
}
