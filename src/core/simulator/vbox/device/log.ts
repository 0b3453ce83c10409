/** The host's log as far as a guest can write to it: no guest may fill it. */
import type { Clock } from '../../clock.js';

/** Lines that may come at once, and then in a second. VirtualBox has no such limit. */
const BURST = 200;
const PER_SECOND = 20;

/** Bytes of a line from the log port, the end included; a longer one is cut in pieces. Source: VMMDev.cpp. */
const LINE_SIZE = 512;

export class GuestLog {
  readonly #clock: Clock;
  readonly #write: (text: string) => void;
  readonly #counts = new Map<string, number>();
  #tokens = BURST;
  #refilledMs: number;
  #dropped = 0;

  constructor(clock: Clock, write: (text: string) => void) {
    this.#clock = clock;
    this.#write = write;
    this.#refilledMs = clock.monotonicMs();
  }

  /** A line that a guest causes as often as it likes. */
  line(text: string): void {
    this.#refill();
    if (this.#tokens < 1) {
      this.#dropped++;
      return;
    }
    this.#tokens--;
    if (this.#dropped > 0) this.#write(`VMMDev: ${this.#dropped} lines of the guest are left out`);
    this.#dropped = 0;
    this.#write(text);
  }

  /** A line that is written so many times in the device's life. */
  few(kind: string, most: number, text: string): void {
    const count = this.#counts.get(kind) ?? 0;
    if (count >= most) return;
    this.#counts.set(kind, count + 1);
    this.#write(text);
  }

  /** A line that something else than the guest's will limits. */
  always(text: string): void {
    this.#write(text);
  }

  #refill(): void {
    const nowMs = this.#clock.monotonicMs();
    const more = ((nowMs - this.#refilledMs) / 1000) * PER_SECOND;
    this.#tokens = Math.min(BURST, this.#tokens + more);
    this.#refilledMs = nowMs;
  }
}

/** Port 0x504: bytes become lines. */
export class LogPort {
  readonly #log: GuestLog;
  readonly #line = new Uint8Array(LINE_SIZE - 1);
  #length = 0;

  constructor(log: GuestLog) {
    this.#log = log;
  }

  write(byte: number): void {
    const ends = byte === 0x0a || byte === 0x0d;
    if (this.#length > 0 && (ends || this.#length === this.#line.length)) this.#flush();
    if (!ends) this.#line[this.#length++] = byte;
  }

  #flush(): void {
    const text = new TextDecoder().decode(this.#line.subarray(0, this.#length));
    this.#log.line(`VMMDev: Guest Log: ${text}`);
    this.#length = 0;
  }
}

/** A whole number as VirtualBox' log has it: groups of three digits. */
export function grouped(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ' ');
}
