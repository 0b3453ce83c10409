/**
 * Runs a vsock network for which everything that can happen is drawn from a seed: connections in all directions,
 * slow, rude and broken programs, slow links, stalled, reset, renumbered and removed guests. What must hold is
 * checked all the while, and at the end: that all work was done once the faults were over, and nothing is left.
 */
import { VMADDR_CID_HOST, VMADDR_CID_LOCAL } from '../../src/core/abi/vm-sockets.js';
import { VirtualClock } from '../../src/core/simulator/clock.js';
import { Deadlines } from '../../src/core/simulator/deadlines.js';
import { ROOT } from '../../src/core/simulator/node.js';
import { SeededRng } from '../../src/core/simulator/rng.js';
import { Vmci } from '../../src/core/simulator/vmci/vmci.js';
import { VsockNetwork } from '../../src/core/simulator/vsock/network.js';
import type { Socket, SocketType } from '../../src/core/simulator/vsock/socket.js';
import { PacketChecks } from './checks.js';
import { type Connection, checkConnection, describeConnection, isOver } from './connection.js';
import { End, type Plan } from './end.js';
import { type Machine, Machines, PORTS } from './machines.js';
import { optionsFor, type SimulationOptions } from './options.js';

export interface SimulationResult {
  packets: number;
  bytes: number;
  connections: number;
  virtualMs: number;
}

/** A port of the host on which nobody listens, so that connections to it wait to be claimed. */
const DEFER_PORT = 9999;
/** Virtual time in which all work must be done once nothing bad happens any more. */
const HEALED_MS = 600_000;
/** Longer than any time-out of a socket. */
const LAST_WAIT_MS = 20_000;

/**
 * Runs a seed; options may be changed.
 * @throws Error that tells what went wrong, with what, and how to see it again.
 */
export function simulate(seed: number, change: Partial<SimulationOptions> = {}): SimulationResult {
  const options = { ...optionsFor(seed), ...change };
  const simulation = new Simulation(seed, options);
  try {
    return simulation.run();
  } catch (cause) {
    throw new Error(simulation.report(cause), { cause });
  }
}

class Simulation {
  readonly #seed: number;
  readonly #options: SimulationOptions;
  readonly #rng: SeededRng;
  readonly #clock = new VirtualClock();
  readonly #deadlines = new Deadlines();
  readonly #vmci = new Vmci();
  readonly #network: VsockNetwork;
  readonly #machines: Machines;
  readonly #checks: PacketChecks;
  readonly #connections: Connection[] = [];
  /** By whom a server sees as its client. */
  readonly #expected = new Map<string, Connection>();
  readonly #onWake = new Map<Socket, () => void>();
  /** Connections that somebody may claim. */
  readonly #waiting: Socket[] = [];
  #begun = 0;

  constructor(seed: number, options: SimulationOptions) {
    this.#seed = seed;
    this.#options = options;
    this.#rng = new SeededRng(seed ^ 0x5eed);
    this.#network = new VsockNetwork({
      profile: options.profile,
      policy: options.policy,
      clock: this.#clock,
      deadlines: this.#deadlines,
      rng: new SeededRng(seed),
      defers: options.deferPercent > 0,
      vmci: this.#vmci.host,
    });
    this.#checks = new PacketChecks(this.#network, () => this.#clock.monotonicMs());
    this.#machines = new Machines(
      this.#network,
      this.#vmci,
      options,
      this.#rng,
      (m) => this.#fault(m),
      {
        nowMs: () => this.#clock.monotonicMs(),
        after: (ms, action) => this.#deadlines.schedule(this.#clock.monotonicMs() + ms, action),
      },
    );
    for (const machine of this.#machines.all) {
      for (const listener of machine.listeners) {
        this.#onWake.set(listener, () => this.#accept(machine, listener));
      }
    }
  }

  run(): SimulationResult {
    while (this.#begun < this.#options.connections) {
      this.#machines.misfortune();
      if (this.#rng.chance(0.3)) this.#begin();
      this.#turn();
      this.#advance(this.#rng.below(this.#options.maxStepMs + 1));
    }
    for (let n = 0; n < 50; n++) {
      this.#machines.misfortune();
      this.#turn();
      this.#advance(this.#rng.below(this.#options.maxStepMs + 1));
    }
    this.#machines.heal();
    this.#finish();
    this.#checkEnd();
    const { packets, bytes } = this.#checks;
    const virtualMs = this.#clock.monotonicMs();
    return { packets, bytes, connections: this.#connections.length, virtualMs };
  }

  /** Everything about a failure. */
  report(cause: unknown): string {
    const open = this.#connections.filter((connection) => !isOver(connection));
    return [
      `seed ${this.#seed}: ${cause instanceof Error ? cause.message : String(cause)}`,
      `replay: npm run simulate -- --seed ${this.#seed}`,
      `options: ${JSON.stringify(this.#options)}`,
      `at ${this.#clock.monotonicMs()} ms, ${open.length} connections open:`,
      ...open.slice(0, 10).map((connection) => `  ${describeConnection(connection)}`),
      'last packets:',
      ...this.#checks.recent.map((line) => `  ${line}`),
    ].join('\n');
  }

  /** Packets move a little, programs do a little. */
  #turn(): void {
    this.#deadlines.expire(this.#clock.monotonicMs());
    const budget = 1 + this.#rng.below(64);
    this.#vmci.run(budget);
    this.#network.run(budget);
    this.#machines.runKernels(false);
    this.#serve(false);
    this.#step(false);
    this.#growBuffer();
  }

  /** Lets all programs come to their end. */
  #finish(): void {
    const giveUpAt = this.#clock.monotonicMs() + HEALED_MS;
    for (;;) {
      let busy = true;
      while (busy) {
        this.#deadlines.expire(this.#clock.monotonicMs());
        this.#runAll();
        const moved = this.#machines.runKernels(true);
        this.#serve(true);
        busy = this.#step(true) || moved || this.#busy || this.#network.woken.size > 0;
      }
      const next = this.#deadlines.next();
      if (next === undefined && this.#connections.every(isOver)) return;
      if (next === undefined) throw new Error('nothing moves any more, and not all is done');
      if (next > giveUpAt) throw new Error(`not all is done after ${HEALED_MS} ms without faults`);
      this.#advance(next - this.#clock.monotonicMs());
    }
  }

  #checkEnd(): void {
    const { backlog, stallPermille, maxLatencyMs, maxStepMs, kernelPercent } = this.#options;
    // A guest that takes nothing for two seconds loses what a kernel sends to it.
    const mayCloseTooEarly = maxStepMs > 100 || (kernelPercent > 0 && stallPermille > 0);
    const mayFail = backlog < 128 || stallPermille > 0 || maxLatencyMs > 0 || maxStepMs > 0;
    for (const connection of this.#connections) {
      const forbidden = this.#options.policy !== 'siblings' && !connection.loopback;
      const mayBeRefused = mayFail || forbidden || this.#options.deferPercent > 0;
      checkConnection(connection, { mayBeRefused, mayCloseTooEarly });
    }
    for (const { listeners } of this.#machines.all) for (const one of listeners) one.close();
    const end = this.#clock.monotonicMs() + LAST_WAIT_MS;
    for (let at = 0; at <= end; at = this.#deadlines.next() ?? Number.POSITIVE_INFINITY) {
      this.#advance(Math.max(0, at - this.#clock.monotonicMs()));
      this.#deadlines.expire(this.#clock.monotonicMs());
      do this.#runAll();
      while (this.#machines.runKernels(true));
    }
    this.#checkEmpty();
  }

  get #busy(): boolean {
    return this.#network.busy || this.#vmci.busy;
  }

  #runAll(): void {
    do {
      this.#vmci.run(1000);
      this.#network.run(1000);
    } while (this.#busy);
  }

  #checkEmpty(): void {
    for (const { stack, guest, kernel, alive } of this.#machines.all) {
      if (alive && kernel?.empty === false) throw new Error('packets are left in a kernel');
      const [left] = stack.sockets();
      if (left !== undefined) {
        const { local, peer, state, done, released } = left;
        throw new Error(
          `a socket is left: ${JSON.stringify({ local, peer, state, done, released })}`,
        );
      }
      for (const channel of [guest?.port?.up, guest?.port?.down, guest?.loopback]) {
        if (channel?.empty === false) throw new Error('packets are left in a channel');
      }
    }
    if (this.#deadlines.size > 0) throw new Error(`${this.#deadlines.size} deadlines are left`);
    const pairs = this.#vmci.host.queuePairs().length;
    if (pairs > 0) throw new Error(`${pairs} queue pairs are left`);
  }

  #advance(ms: number): void {
    this.#clock.advance(ms);
  }

  /** Tells programs that their sockets were woken. */
  #serve(hurry: boolean): void {
    const { woken, deferred } = this.#network;
    for (const socket of woken) {
      woken.delete(socket);
      this.#onWake.get(socket)?.();
    }
    this.#waiting.push(...deferred.splice(0));
    while (this.#waiting.length > 0 && (hurry || this.#rng.chance(0.2))) {
      const socket = this.#waiting.shift();
      if (socket !== undefined) this.#claim(socket);
    }
  }

  #step(hurry: boolean): boolean {
    let moved = false;
    for (const { client, server } of this.#connections) {
      for (const end of [client, server]) {
        if (end?.step(this.#clock.monotonicMs(), hurry) === true) moved = true;
      }
    }
    return moved;
  }

  #fault(machine: Machine): void {
    for (const connection of this.#connections) {
      const touched = connection.from === machine || connection.to === machine;
      if (touched && (!connection.loopback || !machine.alive)) connection.faulted = true;
    }
  }

  #begin(): void {
    this.#begun++;
    const alive = this.#machines.alive();
    const pick = () => alive[this.#rng.below(alive.length)];
    const from = pick();
    const to = pick();
    if (from === undefined || to === undefined) return;
    const deferred = to.guest === undefined && this.#percent(this.#options.deferPercent);
    const byVmci = from !== to && (from.vmci !== undefined || to.vmci !== undefined);
    const siblings = from.guest !== undefined && to.guest !== undefined;
    if (byVmci && siblings) return;
    const seqpacket = !deferred && !byVmci && this.#percent(this.#options.seqpacketPercent);
    const type = seqpacket ? 'seqpacket' : 'stream';
    this.#dial(from, to, type, deferred ? DEFER_PORT : PORTS[type]);
  }

  #dial(from: Machine, to: Machine, type: SocketType, port: number): void {
    const loopback = from === to;
    const own = to.guest === undefined ? VMADDR_CID_HOST : (to.guest.cid ?? VMADDR_CID_LOCAL);
    const cid = loopback && this.#rng.chance(0.5) ? VMADDR_CID_LOCAL : own;
    const socket = from.stack.socket(type, ROOT);
    this.#sizeBuffer(socket);
    from.stack.connect(socket, { cid, port });
    const id = this.#connections.length * 2;
    const connection: Connection = {
      name: `${socket.sourceCid}:${socket.local.port} > ${cid}:${port}`,
      type,
      from,
      to,
      loopback,
      socket,
      plans: { client: this.#plan(id, id + 1, socket), server: this.#plan(id + 1, id, socket) },
      client: undefined,
      server: undefined,
      refused: undefined,
      faulted: false,
    };
    this.#connections.push(connection);
    this.#expected.set(this.#key(to, socket.sourceCid, socket.local.port), connection);
    this.#onWake.set(socket, () => this.#connected(connection));
  }

  #key(machine: Machine, cid: number | undefined, port: number | undefined): string {
    return `${this.#machines.all.indexOf(machine)} ${cid} ${port}`;
  }

  #sizeBuffer(socket: Socket): void {
    if (!this.#percent(this.#options.bufferPercent)) return;
    socket.setBuffer('max', 1_000_000);
    socket.setBuffer('size', [128, 1000, 65_536, 100_000, 600_000][this.#rng.below(5)] ?? 128);
  }

  /** Perhaps a program gives its socket more room. Less would let it overrun what its peer was promised. */
  #growBuffer(): void {
    if (!this.#percent(this.#options.bufferPercent)) return;
    const { client, server } = this.#connections[this.#rng.below(this.#begun + 1)] ?? {};
    const end = this.#rng.chance(0.5) ? client : server;
    if (end === undefined || end.closed) return;
    end.socket.setBuffer('max', 2_000_000);
    end.socket.setBuffer('size', end.socket.bufferSize + this.#rng.below(300_000));
  }

  #plan(sends: number, reads: number, socket: Socket): Plan {
    const { maxBytes, slowPercent, hastyPercent, abortPercent, deafPercent } = this.#options;
    const maxMessage = Math.min(this.#options.maxMessage, socket.bufferSize, 262_144);
    const most = Math.min(maxBytes, maxMessage * 300, socket.bufferSize * 100);
    let manner: Plan['manner'] = 'polite';
    if (this.#percent(hastyPercent)) manner = 'hasty';
    if (this.#percent(deafPercent)) manner = 'deaf';
    if (this.#percent(abortPercent)) manner = 'quitter';
    const pauseMs = this.#percent(slowPercent) ? this.#rng.below(500) : 0;
    return { sends, reads, bytes: this.#rng.below(most + 1), maxMessage, pauseMs, manner };
  }

  /** The client's socket was woken while it connects. */
  #connected(connection: Connection): void {
    const { socket } = connection;
    if (socket.state === 'connecting') return;
    const error = socket.error;
    if (socket.state === 'closed' && error !== undefined) {
      connection.refused = error;
      this.#onWake.delete(socket);
      socket.close();
      return;
    }
    connection.client = this.#run(socket, connection.plans.client);
  }

  #accept(machine: Machine, listener: Socket): void {
    while (listener.state === 'listen') {
      const socket = machine.stack.accept(listener);
      if (socket === undefined) return;
      this.#serveConnection(machine, socket);
    }
  }

  #claim(socket: Socket): void {
    const [host] = this.#machines.all;
    const { host: stack } = this.#network;
    const wish = this.#rng.below(10);
    if (wish === 0) stack.refuse(socket);
    else if (wish > 1 && host !== undefined && stack.claim(socket)) {
      this.#serveConnection(host, socket);
    }
  }

  #serveConnection(machine: Machine, socket: Socket): void {
    const connection = this.#expected.get(this.#key(machine, socket.peer?.cid, socket.peer?.port));
    if (connection === undefined || connection.server !== undefined) {
      throw new Error(`nobody made the connection from ${socket.peer?.cid}:${socket.peer?.port}`);
    }
    connection.server = this.#run(socket, connection.plans.server);
  }

  #run(socket: Socket, plan: Plan): End {
    const end = new End(socket, plan, this.#rng);
    this.#onWake.set(socket, () => end.wake());
    return end;
  }

  #percent(percent: number): boolean {
    return this.#rng.below(100) < percent;
  }
}
