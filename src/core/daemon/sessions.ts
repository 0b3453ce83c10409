/** What the sessions of one daemon share. */
import { randomBytes } from 'node:crypto';
import type { Socket as NetSocket } from 'node:net';
import type { Keeper } from './keeper.js';

/** Takes the stream connection that a token was given out for. */
export type StreamTaker = (connection: NetSocket) => void;

export interface DaemonInfo {
  readonly version: string;
  readonly startedAt: string;
  readonly options: Record<string, string | number>;
  /** Ends the daemon once the answer is out. */
  stop(): void;
}

export class Shared {
  readonly keeper: Keeper;
  readonly info: DaemonInfo;
  readonly #tokens = new Map<string, StreamTaker>();
  /** What holds a control connection, and lets go of all that was opened on it. */
  readonly sessions = new Set<{ close(): void }>();

  constructor(keeper: Keeper, info: DaemonInfo) {
    this.keeper = keeper;
    this.info = info;
  }

  /** Control connections. */
  get clients(): number {
    return this.sessions.size;
  }

  /** Ends every control connection, with all that was opened on it. */
  closeSessions(): void {
    for (const session of [...this.sessions]) session.close();
  }

  /** A word by which one stream connection may be joined to a socket, once. */
  expectStream(taker: StreamTaker): string {
    const token = randomBytes(16).toString('hex');
    this.#tokens.set(token, taker);
    return token;
  }

  forgetStream(token: string): void {
    this.#tokens.delete(token);
  }

  takeStream(token: string): StreamTaker | undefined {
    const taker = this.#tokens.get(token);
    this.#tokens.delete(token);
    return taker;
  }
}
