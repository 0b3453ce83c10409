/**
 * The agent of a simulated guest: what VBoxService is in a real one. It lets events of the balloon through, tells of
 * the guest in properties, and reports statistics. All that it does it does by calls of /dev/vboxguest.
 */
import { SystemError } from '../../../abi/errno.js';
import { type AgentManners, type AgentPlatform, AgentSession } from './session.js';

/** It runs while it is started and not halted. */
export class GuestAgent implements AgentManners {
  readonly #platform: AgentPlatform;
  #session: AgentSession | undefined;
  #started = false;
  #halted = false;
  #refusing = false;
  /** Milliseconds by which its reactions and reports come later; for those to come. */
  lagMs = 0;

  constructor(platform: AgentPlatform) {
    this.#platform = platform;
  }

  get running(): boolean {
    return this.#session !== undefined;
  }

  /** Runs it; where the node can't be opened a line of the log says so, and it does not run. */
  start(): void {
    this.#started = true;
    this.#update();
  }

  /** Tells the host that it ends. Its filter goes with its node, so the balloon's events wait from now on. */
  stop(): void {
    this.#started = false;
    this.#update();
  }

  /** The guest has gone down: it is gone without a word. */
  kill(): void {
    this.#started = false;
    this.#session?.kill();
    this.#session = undefined;
  }

  /** Its next statistics are due now. */
  reportNow(): void {
    this.#session?.askInterval();
  }

  get halted(): boolean {
    return this.#halted;
  }

  /** While it is halted it does not run, whoever starts it. */
  set halted(halted: boolean) {
    this.#halted = halted;
    this.#update();
  }

  get refusing(): boolean {
    return this.#refusing;
  }

  /** While it refuses it runs, but takes no events of the balloon and reports no statistics. */
  set refusing(refusing: boolean) {
    if (refusing === this.#refusing) return;
    this.#refusing = refusing;
    this.#session?.mannersChanged();
  }

  #update(): void {
    const wanted = this.#started && !this.#halted;
    if (wanted && this.#session === undefined) this.#session = this.#begin();
    else if (!wanted && this.#session !== undefined) {
      this.#session.stop();
      this.#session = undefined;
    }
  }

  #begin(): AgentSession | undefined {
    try {
      return new AgentSession(this.#platform, this);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.#platform.log(`vmmctl-agent: can't open /dev/vboxguest: ${error.code}`);
      return undefined;
    }
  }
}
