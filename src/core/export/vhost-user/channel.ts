/**
 * The back-end's own channel to the front-end (VHOST_USER_SET_BACKEND_REQ_FD). What is said here is news that repeats
 * itself (a ring has something, the configuration changed), so what does not fit now is said once, later.
 */
import { constants } from 'node:os';
import {
  VHOST_USER_BACKEND_CONFIG_CHANGE_MSG,
  VHOST_USER_BACKEND_VRING_CALL,
  VHOST_USER_HDR_VERSION,
  vhost_user_header,
  vhost_user_vring_state,
} from '../../abi/vhost-user.js';
import type { System } from './system.js';

const AGAIN = -constants.errno.EAGAIN;

export class BackendChannel {
  readonly #system: System;
  readonly #fd: number;
  /** Rings whose news is not out yet. */
  readonly #calls = new Set<number>();
  #configChanged = false;
  #closed = false;
  readonly #failed: (errno: number) => void;

  /** Takes the descriptor. `failed` is called at most once, and nothing is sent from then on. */
  constructor(system: System, fd: number, failed: (errno: number) => void) {
    this.#system = system;
    this.#fd = fd;
    this.#failed = failed;
    const result = system.reactor.add(fd, () => this.#flush());
    if (result < 0) this.#fail(-result);
  }

  call(index: number): void {
    this.#calls.add(index);
    this.#flush();
  }

  configChanged(): void {
    this.#configChanged = true;
    this.#flush();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#system.reactor.remove(this.#fd);
    this.#system.libc.close(this.#fd);
  }

  #flush(): void {
    if (this.#configChanged && this.#send(VHOST_USER_BACKEND_CONFIG_CHANGE_MSG)) {
      this.#configChanged = false;
    }
    for (const index of this.#calls) {
      const state = vhost_user_vring_state.encode({ index });
      if (!this.#send(VHOST_USER_BACKEND_VRING_CALL, state)) return;
      this.#calls.delete(index);
    }
  }

  /** False when there is no room now. A socket takes a message this small as a whole, or not at all. */
  #send(request: number, payload = new Uint8Array(0)): boolean {
    if (this.#closed) return true;
    const header = { request, flags: VHOST_USER_HDR_VERSION, size: payload.length };
    const message = new Uint8Array(vhost_user_header.size + payload.length);
    message.set(vhost_user_header.encode(header));
    message.set(payload, vhost_user_header.size);
    const sent = this.#system.messages.send(this.#fd, message);
    if (sent < 0 && sent !== AGAIN) this.#fail(-sent);
    return sent !== AGAIN;
  }

  #fail(errno: number): void {
    this.close();
    this.#failed(errno);
  }
}
