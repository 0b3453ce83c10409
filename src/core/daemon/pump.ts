/**
 * Drives the simulated host in real time: after each event from outside, packets are delivered and woken sockets
 * served until nothing is left to do; then one timer waits for the next deadline.
 */
import type { Clock } from '../simulator/clock.js';
import type { Deadlines } from '../simulator/deadlines.js';
import type { VsockNetwork } from '../simulator/vsock/network.js';
import type { Socket } from '../simulator/vsock/socket.js';

/** The machine's own clock. */
export class RealClock implements Clock {
  monotonicMs(): number {
    return performance.now();
  }

  wallMs(): number {
    return Date.now();
  }
}

/** Whoever waits for something to happen to a socket. */
export interface Watcher {
  socketChanged(): void;
}

/** What is left to be handed on: packets, and what kernels have put off. */
export interface PumpWork {
  readonly busy: boolean;
  /** Hands on up to so many of each kind. True when there are more. */
  run(budget: number): boolean;
}

export interface PumpListener {
  /** A guest connects to a host port without a listener. */
  deferred(socket: Socket): void;
  /** Deadlines have let something happen. */
  timePassed(): void;
  /** What a deadline let happen has failed, which is a defect. */
  failed(error: unknown): void;
}

/** The longest that a timer of Node waits, milliseconds. */
const LONGEST_WAIT_MS = 2 ** 31 - 1;
/** Packets delivered in one go before other events get their turn. */
const BURST = 512;

export class Pump {
  readonly #work: PumpWork;
  readonly #network: VsockNetwork;
  readonly #deadlines: Deadlines;
  readonly #clock: Clock;
  readonly #watchers = new WeakMap<Socket, Watcher>();
  readonly #tell: PumpListener;
  #running = false;
  #continuing = false;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Number.POSITIVE_INFINITY;

  constructor(
    world: PumpWork & { readonly network: VsockNetwork; readonly deadlines: Deadlines },
    clock: Clock,
    listener: PumpListener,
  ) {
    this.#work = world;
    this.#network = world.network;
    this.#deadlines = world.deadlines;
    this.#clock = clock;
    this.#tell = listener;
  }

  /** Says who is told when a socket changes; one at a time. */
  watch(socket: Socket, watcher: Watcher | undefined): void {
    if (watcher === undefined) this.#watchers.delete(socket);
    else this.#watchers.set(socket, watcher);
  }

  /** Lets everything happen that can happen now. Call after each event. */
  kick(): void {
    if (this.#running) return;
    this.#running = true;
    try {
      if (this.#expire()) this.#tell.timePassed();
      let budget = BURST;
      for (;;) {
        const more = this.#work.run(budget);
        this.#serve();
        if (!this.#work.busy && this.#network.woken.size === 0) break;
        if (more) {
          this.#continueLater();
          break;
        }
        budget = BURST;
      }
    } finally {
      this.#running = false;
    }
    this.#arm();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
  }

  /** A deadline is one VM's: when what it lets happen fails, the others still get theirs. */
  #expire(): boolean {
    for (let any = false; ; any = true) {
      try {
        return this.#deadlines.expire(this.#clock.monotonicMs()) || any;
      } catch (error) {
        this.#tell.failed(error);
      }
    }
  }

  #serve(): void {
    const { woken, deferred } = this.#network;
    for (const socket of woken) {
      woken.delete(socket);
      this.#watchers.get(socket)?.socketChanged();
    }
    for (const socket of deferred.splice(0)) this.#tell.deferred(socket);
  }

  #continueLater(): void {
    if (this.#continuing) return;
    this.#continuing = true;
    setImmediate(() => {
      this.#continuing = false;
      this.kick();
    });
  }

  #arm(): void {
    const at = this.#deadlines.next() ?? Number.POSITIVE_INFINITY;
    if (at >= this.#timerAt && this.#timer !== undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#timerAt = at;
    if (at === Number.POSITIVE_INFINITY) return;
    const wait = Math.min(LONGEST_WAIT_MS, Math.max(1, Math.ceil(at - this.#clock.monotonicMs())));
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#timerAt = Number.POSITIVE_INFINITY;
      this.kick();
    }, wait);
  }
}
