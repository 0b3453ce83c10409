/**
 * What the driver prints: to the kernel's log and, byte by byte, to the host's port. Follows VBG_LOG() in
 * drivers/virt/vboxguest/vboxguest_utils.c and ___ratelimit() in lib/ratelimit.c.
 */
import { VBG_LOG_BUF_SIZE } from '../../../abi/vboxguest.js';
import type { DriverPlatform } from '../platform.js';

/** printk's limit: so many lines in so long a time, in milliseconds. */
const RATELIMIT_BURST = 10;
const RATELIMIT_INTERVAL_MS = 5000;

export class KernelLog {
  readonly #platform: DriverPlatform;
  #beginMs = Number.NEGATIVE_INFINITY;
  #printed = 0;
  #missed = 0;

  constructor(platform: DriverPlatform) {
    this.#platform = platform;
  }

  /** A line that only the host or the machine can cause. */
  print(text: string): void {
    const line = cut(new TextEncoder().encode(`${text}\n`));
    this.#toPort(line);
    this.#toKernel(line);
  }

  /** A line that a program can cause: the kernel's log takes ten in five seconds. */
  printLimited(text: string): void {
    this.printBytesLimited(new TextEncoder().encode(`${text}\n`));
  }

  /** A program's own text, up to its first NUL. */
  printBytesLimited(bytes: Uint8Array): void {
    const line = cut(bytes);
    this.#toPort(line);
    if (this.#admits()) this.#toKernel(line);
  }

  #toPort(line: Uint8Array): void {
    for (const byte of line) this.#platform.ports.writeLog(byte);
  }

  #toKernel(line: Uint8Array): void {
    const text = new TextDecoder().decode(line).replace(/\n$/, '');
    this.#platform.log(text.replace(CONTROL, escapeCharacter));
  }

  #admits(): boolean {
    const nowMs = this.#platform.clock.monotonicMs();
    if (nowMs >= this.#beginMs + RATELIMIT_INTERVAL_MS) {
      if (this.#missed > 0) {
        this.#platform.log(`vbg_err_ratelimited: ${this.#missed} callbacks suppressed`);
      }
      this.#beginMs = nowMs;
      this.#printed = 0;
      this.#missed = 0;
    }
    if (this.#printed >= RATELIMIT_BURST) {
      this.#missed++;
      return false;
    }
    this.#printed++;
    return true;
  }
}

/** The buffer that all lines pass has a NUL at its end. */
function cut(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0);
  const text = end < 0 ? bytes : bytes.subarray(0, end);
  return text.subarray(0, VBG_LOG_BUF_SIZE - 1);
}

const CONTROL = /\p{Cc}/gu;

/** As the kernel shows what can't be printed, so that a program's text stays one line. */
function escapeCharacter(character: string): string {
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
}

/** A number as printf's %#08x has it. */
export function hex(value: number): string {
  return `0x${(value >>> 0).toString(16).padStart(6, '0')}`;
}
