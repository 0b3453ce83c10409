/**
 * The guest's heartbeat. It is no watchdog: when the guest falls silent the host says so in its log, once, and again
 * when it is back; nothing else comes of it. Source: VirtualBox' VMMDev.cpp.
 */
import { SystemError } from '../../../abi/errno.js';
import { VBOX_STATUS } from '../../../abi/vbox-err.js';
import type { Clock } from '../../clock.js';
import type { Deadline, Deadlines } from '../../deadlines.js';
import { type GuestLog, grouped } from './log.js';

const LEAST_INTERVAL_MS = 50;
const LEAST_TIMEOUT_MS = 100;
/** By how much the time-out has to be longer than the interval. */
const LEAST_SLACK_MS = 10;
/** Nobody waits for longer; it fits every timer. */
const MOST_MS = 2 ** 31 - 1;

export interface HeartbeatSettings {
  readonly intervalMs?: number | undefined;
  readonly timeoutMs?: number | undefined;
  /** Whether the host wants beats at all. */
  readonly enabled?: boolean | undefined;
}

export interface HeartbeatSnapshot {
  /** The host wants beats, and the guest has agreed. */
  readonly enabled: boolean;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Milliseconds since 1970 of the last beat, if there was one. */
  readonly lastBeatAtMs: number | null;
  readonly beats: number;
  /** How often the guest was silent for the whole time-out. */
  readonly misses: number;
  /** `late`: a quarter of the time between interval and time-out has passed. */
  readonly state: 'off' | 'beating' | 'late' | 'flatlined';
}

export interface HeartbeatParts {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly log: GuestLog;
}

export class Heartbeat {
  readonly #parts: HeartbeatParts;
  #intervalMs = 2000;
  /** Twice the interval unless the host has set one. */
  #timeoutMs: number | undefined;
  #wanted = true;
  /** The guest has switched it on. */
  #active = false;
  #flatlined = false;
  /** When the guest will have flatlined; undefined while nothing is waited for. */
  #dueMs: number | undefined;
  /** One at most, however often the guest beats; it looks at `#dueMs` when it comes up. */
  #wake: Deadline | undefined;
  #lastMs = 0;
  #lastBeatAtMs: number | null = null;
  #beats = 0;
  #misses = 0;

  /** @throws SystemError EINVAL for settings that `set` would refuse. */
  constructor(parts: HeartbeatParts, settings: HeartbeatSettings) {
    this.#parts = parts;
    this.set(settings);
  }

  /**
   * Changes what is given. A guest learns a new interval only when it switches its heartbeat on.
   * @throws SystemError EINVAL: an interval below 50 ms, a time-out below 100 ms or less than 10 ms over the interval.
   */
  set({
    intervalMs = this.#intervalMs,
    timeoutMs,
    enabled = this.#wanted,
  }: HeartbeatSettings): void {
    const limit = timeoutMs ?? this.#timeoutMs;
    check(intervalMs, limit ?? 2 * intervalMs);
    const changes = intervalMs !== this.#intervalMs || limit !== this.#timeoutMs;
    this.#intervalMs = intervalMs;
    this.#timeoutMs = limit;
    if (enabled !== this.#wanted) {
      this.#wanted = enabled;
      if (!enabled) this.#stop();
      else if (this.#active) this.#arm();
    } else if (changes && this.#dueMs !== undefined) this.#arm();
  }

  /** HeartbeatConfigure. Gives the interval in nanoseconds, whatever is asked for. */
  configure(enabled: boolean): bigint {
    const { log } = this.#parts;
    if (enabled === this.#active) {
      log.line(
        `VMMDev: vmmDevReqHandler_HeartbeatConfigure: No change (fHeartbeatActive=${enabled})`,
      );
    } else if (enabled) this.#switchOn();
    else {
      this.#active = false;
      this.#stop();
      log.line('VMMDev: Heartbeat checking timer has been stopped (rc=VINF_SUCCESS)');
    }
    return BigInt(Math.round(this.#intervalMs * 1e6));
  }

  /** GuestHeartbeat. While nothing is waited for a beat is a success without effect. */
  beat(): number {
    if (!this.#active || !this.#wanted) return VBOX_STATUS.VINF_SUCCESS;
    if (this.#flatlined) {
      const goneMs = this.#parts.clock.monotonicMs() - this.#lastMs;
      this.#flatlined = false;
      this.#parts.log.always(
        `VMMDev: GuestHeartBeat: Guest is alive (gone ${grouped(goneMs * 1e6)} ns)`,
      );
    }
    this.#beats++;
    this.#lastBeatAtMs = this.#parts.clock.wallMs();
    this.#arm();
    return VBOX_STATUS.VINF_SUCCESS;
  }

  get snapshot(): HeartbeatSnapshot {
    const state = this.#state();
    return {
      enabled: state !== 'off',
      intervalMs: this.#intervalMs,
      timeoutMs: this.#limitMs,
      lastBeatAtMs: this.#lastBeatAtMs,
      beats: this.#beats,
      misses: this.#misses,
      state,
    };
  }

  /** The timer stops, but the guest's switch stays on: as in VirtualBox its next beat starts the timer. */
  reset(): void {
    this.#stop();
  }

  /** The VM is gone. */
  close(): void {
    this.#active = false;
    this.#stop();
    this.#wake?.cancel();
    this.#wake = undefined;
  }

  get #limitMs(): number {
    return this.#timeoutMs ?? 2 * this.#intervalMs;
  }

  #switchOn(): void {
    this.#active = true;
    if (!this.#wanted) return;
    this.#arm();
    this.#parts.log.line(
      `VMMDev: Heartbeat flatline timer set to trigger after ${grouped(this.#limitMs * 1e6)} ns`,
    );
  }

  /** As if the guest had beaten just now. */
  #arm(): void {
    this.#lastMs = this.#parts.clock.monotonicMs();
    this.#dueMs = this.#lastMs + this.#limitMs;
    if (this.#wake === undefined || this.#wake.atMs > this.#dueMs) this.#wakeAt(this.#dueMs);
  }

  #stop(): void {
    this.#dueMs = undefined;
    this.#flatlined = false;
  }

  #wakeAt(atMs: number): void {
    this.#wake?.cancel();
    this.#wake = this.#parts.deadlines.schedule(atMs, () => this.#expire());
  }

  #expire(): void {
    this.#wake = undefined;
    if (this.#dueMs === undefined) return;
    const nowMs = this.#parts.clock.monotonicMs();
    if (nowMs < this.#dueMs) this.#wakeAt(this.#dueMs);
    else this.#flatline((nowMs - this.#lastMs) / 1000);
  }

  #flatline(seconds: number): void {
    this.#dueMs = undefined;
    this.#flatlined = true;
    this.#misses++;
    this.#parts.log.always(
      'VMMDev: vmmDevHeartbeatFlatlinedTimer: Guest seems to be unresponsive. ' +
        `Last heartbeat received ${Math.floor(seconds)} seconds ago`,
    );
  }

  #state(): HeartbeatSnapshot['state'] {
    if (this.#flatlined) return 'flatlined';
    if (this.#dueMs === undefined) return 'off';
    const silentMs = this.#parts.clock.monotonicMs() - this.#lastMs;
    const graceMs = (this.#limitMs - this.#intervalMs) / 4;
    return silentMs > this.#intervalMs + graceMs ? 'late' : 'beating';
  }
}

function check(intervalMs: number, timeoutMs: number): void {
  const wrong = (message: string) => new SystemError('EINVAL', { message });
  if (!(intervalMs >= LEAST_INTERVAL_MS)) {
    throw wrong(`a heartbeat's interval is ${LEAST_INTERVAL_MS} ms or more`);
  }
  if (!(timeoutMs >= LEAST_TIMEOUT_MS)) {
    throw wrong(`a heartbeat's time-out is ${LEAST_TIMEOUT_MS} ms or more`);
  }
  if (timeoutMs <= intervalMs + LEAST_SLACK_MS) {
    throw wrong(`a heartbeat's time-out is over ${LEAST_SLACK_MS} ms longer than its interval`);
  }
  if (timeoutMs > MOST_MS) throw wrong(`a heartbeat's time-out is ${MOST_MS} ms or less`);
}
