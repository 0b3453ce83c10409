/**
 * Signals that end a command. The first one aborts what is under way and leaves a second for the clean-up; the
 * next ends at once. At the end the signal is raised again without a handler, so that the shell sees of what
 * the process died.
 */
import { setMaxListeners } from 'node:events';
import { constants } from 'node:os';
import { STATUS } from './errors.js';

export type EndingSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';

const SIGNALS: readonly EndingSignal[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
const CLEANUP_MS = 1000;

export class Interrupts {
  readonly #controller = new AbortController();
  #received: EndingSignal | undefined;
  #delegate: ((signal: EndingSignal) => void) | undefined;

  constructor() {
    // Each connection that is served listens to it; there is no number of them that is too many.
    setMaxListeners(0, this.signal);
  }

  /** Aborted by the first signal. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The signal that ends the command, if one came. */
  get received(): EndingSignal | undefined {
    return this.#received;
  }

  /** Lets a command deal with signals itself, as one that runs a program passes them on. */
  delegate(handler: ((signal: EndingSignal) => void) | undefined): void {
    this.#delegate = handler;
  }

  /** Begins to listen to the process's signals. */
  install(): void {
    for (const name of SIGNALS) process.on(name, () => this.#deliver(name));
  }

  /** As if the signal had come. */
  interrupt(name: EndingSignal): void {
    this.#received ??= name;
    this.#controller.abort(new Error(`ended by ${name}`));
  }

  #deliver(name: EndingSignal): void {
    if (this.#delegate) {
      this.#delegate(name);
      return;
    }
    if (this.#received) {
      die(this.#received);
      return;
    }
    process.exitCode = signalStatus(name);
    setTimeout(() => die(name), CLEANUP_MS).unref();
    this.interrupt(name);
  }
}

export function signalStatus(name: NodeJS.Signals): number {
  return STATUS.signal + constants.signals[name];
}

/** Ends the process by a signal, as if it had never had a handler. */
export function die(name: EndingSignal): void {
  for (const each of SIGNALS) process.removeAllListeners(each);
  process.kill(process.pid, name);
  // The signal may be late; nothing more must happen until it is there.
  setTimeout(() => process.exit(signalStatus(name)), 50);
}
