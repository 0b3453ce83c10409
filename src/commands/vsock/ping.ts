/** `vmmctl vsock ping`: how long a peer takes to answer a connection request. */
import { setTimeout as delay } from 'node:timers/promises';
import { VmmctlCommand } from '../../cli/command.js';
import { CodeError } from '../../cli/errors.js';
import { arg, optionOr } from '../../cli/flags.js';
import { parseDuration, parseInteger } from '../../cli/parse.js';
import { type RoundTrip, resolveCid, roundTrip } from '../../core/client/vsock.js';
import { peerCid, vsockPort } from './words.js';

export default class VsockPing extends VmmctlCommand<typeof VsockPing> {
  static override summary = 'measure round trips to a vsock peer';
  static override description =
    'Connects to a port, again and again, and tells how long the answer took. A refusal is an answer too, but\n' +
    'only an open port makes the exit status 0: it is 6 when no attempt found one.';
  static override examples = [
    { description: 'Four round trips', command: 'vmmctl vsock ping web1 7000' },
    {
      description: 'Whether a service is there, for a script',
      command: 'vmmctl vsock ping web1 7000 --count 1 --timeout 500ms --quiet',
    },
  ];
  static override guestView = true;
  static override args = {
    cid: arg({ summary: 'CID: a number, the name of a VM, host or local', convert: peerCid }),
    port: arg({ summary: 'port of the peer', convert: vsockPort }),
  };
  static override flags = {
    count: optionOr('4', {
      char: 'c',
      summary: 'how many round trips',
      helpValue: 'N',
      convert: parseInteger(1, 1_000_000),
    }),
    interval: optionOr('200ms', {
      char: 'i',
      summary: 'pause between two',
      helpValue: 'DURATION',
      convert: parseDuration,
    }),
  };

  async run(): Promise<void> {
    const backend = await this.backend();
    const { cid, port } = this.args;
    const machine = backend.machine(this.machine);
    const address = { cid: await resolveCid(backend, cid), port };
    const request = { name: cid, address, type: 'stream' as const, timeoutMs: this.timeoutMs };
    const trips: RoundTrip[] = [];
    for (let sequence = 1; sequence <= this.flags.count; sequence++) {
      if (sequence > 1) await delay(this.flags.interval, undefined, { signal: this.signal });
      const trip = await roundTrip(machine, request, sequence, { signal: this.signal });
      trips.push(trip);
      const silent = this.flags.json || this.flags.quiet;
      if (!silent) this.out(`${cid}:${port} seq=${sequence} ${trip.answer} ${ms(trip.ms)} ms\n`);
    }
    const open = trips.filter(({ answer }) => answer === 'open');
    this.#summary(trips, open);
    if (open.length === 0) throw this.#failure(trips);
  }

  #summary(trips: readonly RoundTrip[], open: readonly RoundTrip[]): void {
    const times = open.map((trip) => trip.ms);
    const average = times.reduce((sum, time) => sum + time, 0) / times.length;
    const found = times.length > 0;
    if (this.flags.json) {
      const summary = {
        sent: trips.length,
        open: open.length,
        minMs: found ? Math.min(...times) : null,
        averageMs: found ? average : null,
        maxMs: found ? Math.max(...times) : null,
        trips,
      };
      if (found) this.json(summary);
    } else if (found && !this.flags.quiet) {
      const range = `${ms(Math.min(...times))}/${ms(average)}/${ms(Math.max(...times))}`;
      this.out(`${open.length} of ${trips.length} open, min/avg/max ${range} ms\n`);
    }
  }

  #failure(trips: readonly RoundTrip[]): CodeError {
    const { cid, port } = this.args;
    const answers = new Set(trips.map(({ answer }) => answer));
    if (answers.has('refused')) {
      return new CodeError('ECONNRESET', `${cid}:${port} refuses: nothing listens there`);
    }
    const code = answers.has('timeout') ? 'ETIMEDOUT' : 'EHOSTUNREACH';
    return new CodeError(code, `${cid}:${port} can't be reached`);
  }
}

function ms(time: number): string {
  return time.toFixed(3);
}
