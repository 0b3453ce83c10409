/** What a row of the tables of requests is. */
import type { Message } from './connection.js';
import type { Session } from './session.js';

export interface Request {
  readonly name: string;
  /** Bytes of the payload: exactly, or at least. */
  readonly size?: number;
  readonly atLeast?: number;
  /** The most descriptors that may come along. */
  readonly fds?: number;
  /** The protocol feature that has to be agreed to. */
  readonly needs?: number;
  /** @returns what is answered, whether an answer was asked for or not. @throws Violation, Refusal */
  run(session: Session, message: Message): Uint8Array | undefined;
}

/** By the number of the request. */
export type Requests = Readonly<Record<number, Request>>;
