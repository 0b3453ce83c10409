/**
 * The real-time clock of a VM: 128 bytes, of which the first and one more are the time. Follows FreeBSD's
 * sys/amd64/vmm/io/vrtc.c: it begins in 1970, and whoever runs the VM sets it.
 */
import { SystemError } from '../../abi/errno.js';
import type { Clock } from '../clock.js';

export const RTC_SIZE = 128;
/** Registers A to D, which the host may not write, and the time before them. */
const LAST_CONTROL = 13;
const CENTURY = 0x32;
const STATUS_A = 0x0a;
const STATUS_B = 0x0b;
const STATUS_D = 0x0d;
/** The divider of a clock that runs; hours up to 24, digits as BCD; the battery is good. Source: sys/isa/rtc.h. */
const INITIAL = [
  [STATUS_A, 0x20],
  [STATUS_B, 0x02],
  [STATUS_D, 0x80],
] as const;

/** A point in time in UTC. */
interface CivilTime {
  readonly second: number;
  readonly minute: number;
  readonly hour: number;
  /** 1 is Sunday. */
  readonly weekday: number;
  readonly day: number;
  readonly month: number;
  readonly year: number;
}

/** What time a register has, by its number. */
const TIME: ReadonlyMap<number, (time: CivilTime) => number> = new Map([
  [0, ({ second }: CivilTime) => second],
  [2, ({ minute }: CivilTime) => minute],
  [4, ({ hour }: CivilTime) => hour],
  [6, ({ weekday }: CivilTime) => weekday],
  [7, ({ day }: CivilTime) => day],
  [8, ({ month }: CivilTime) => month],
  [9, ({ year }: CivilTime) => year % 100],
  [CENTURY, ({ year }: CivilTime) => Math.floor(year / 100)],
]);

const DAY = 86_400;
/** Years that its four digits can't tell are counted from 1970 again. Seconds of 1970 to 9999. */
const END_OF_YEARS = 253_402_300_800n;

export class Rtc {
  readonly #clock: Clock;
  readonly #memory = new Uint8Array(RTC_SIZE);
  #baseSeconds = 0n;
  #baseMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#baseMs = clock.monotonicMs();
    for (const [offset, value] of INITIAL) this.#memory[offset] = value;
  }

  /** Seconds since 1970. */
  get seconds(): bigint {
    const passed = Math.floor((this.#clock.monotonicMs() - this.#baseMs) / 1000);
    return this.#baseSeconds + BigInt(passed);
  }

  set seconds(seconds: bigint) {
    this.#baseSeconds = seconds;
    this.#baseMs = this.#clock.monotonicMs();
  }

  /** @throws SystemError EINVAL beyond its bytes. */
  read(offset: number): number {
    if (offset < 0 || offset >= RTC_SIZE) throw outside(offset);
    const part = TIME.get(offset);
    return part === undefined ? (this.#memory[offset] ?? 0) : bcd(part(civilTime(this.seconds)));
  }

  /** @throws SystemError EINVAL for the time, the control registers, and beyond its bytes. */
  write(offset: number, value: number): void {
    if (offset <= LAST_CONTROL || offset === CENTURY || offset >= RTC_SIZE) throw outside(offset);
    this.#memory[offset] = value;
  }
}

/** The calendar's way to say some seconds since 1970. */
function civilTime(since1970: bigint): CivilTime {
  const known = since1970 >= 0n && since1970 < END_OF_YEARS;
  const seconds = known ? Number(since1970) : 0;
  const days = Math.floor(seconds / DAY);
  const rest = seconds % DAY;
  return {
    second: rest % 60,
    minute: Math.floor(rest / 60) % 60,
    hour: Math.floor(rest / 3600),
    // 1970 began on a Thursday.
    weekday: ((days + 4) % 7) + 1,
    ...civilDate(days),
  };
}

/** The date of a day, by the days from 1970 to it. */
function civilDate(days: number): Pick<CivilTime, 'day' | 'month' | 'year'> {
  let year = 1970 + Math.floor(days / 366);
  while (daysBefore(year + 1) <= days) year++;
  let day = days - daysBefore(year);
  const lengths = [31, isLeap(year) ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
  let month = 0;
  for (let length = lengths[0] ?? 0; day >= length; length = lengths[month] ?? 31) {
    day -= length;
    month++;
  }
  return { day: day + 1, month: month + 1, year };
}

/** Days from 1970 to the first of a year. */
function daysBefore(year: number): number {
  const last = year - 1;
  const leaps = (to: number) => Math.floor(to / 4) - Math.floor(to / 100) + Math.floor(to / 400);
  return (year - 1970) * 365 + leaps(last) - leaps(1969);
}

function isLeap(year: number): boolean {
  return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
}

function bcd(value: number): number {
  return (Math.floor(value / 10) % 10) * 16 + (value % 10);
}

function outside(offset: number): SystemError {
  return new SystemError('EINVAL', { message: `the clock's byte ${offset} is not for the host` });
}
