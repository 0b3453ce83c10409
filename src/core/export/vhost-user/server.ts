/**
 * Offers virtio devices to virtual machine monitors over Unix sockets, by the vhost-user protocol. One front-end uses a
 * device at a time; when it has left, the next one may come.
 */
import { chmodSync, rmSync } from 'node:fs';
import { constants } from 'node:os';
import { codeOf, SystemError } from '../../abi/errno.js';
import { SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM } from '../../abi/linux-socket.js';
import type { Clock } from '../../simulator/clock.js';
import type { VirtioDevice } from './device.js';
import { Session } from './session.js';
import { loadSystem, type System } from './system.js';

const AF_UNIX = 1;
/** Connections that wait to be taken. */
const BACKLOG = 4;
/** Lines about refused front-ends while another one is there. */
const MAX_REFUSED_LOGGED = 4;

export interface OfferOptions {
  /** Of the socket; what is there is removed. */
  readonly path: string;
  readonly device: VirtioDevice;
  readonly clock: Clock;
  log(text: string): void;
}

/** Since it is offered. */
export interface OfferCounters {
  /** Front-ends that were served. */
  connections: number;
  /** Those that came while another one was there. */
  refusedConnections: number;
  /** Requests that were answered with an error, or ignored. */
  refusedRequests: number;
  /** Front-ends that were thrown out for what they, or their guests, did. */
  failures: number;
}

export interface Offer {
  readonly path: string;
  readonly counters: Readonly<OfferCounters>;
  /** Why the last front-end was thrown out. */
  readonly lastFailure: string | undefined;
  /** Whether a front-end is there. */
  readonly connected: boolean;
  /** Takes the device away: whoever uses it is disconnected, and the socket is removed. */
  close(): void;
}

/** Begins to offer a device. @throws SystemError why it can't be: EOPNOTSUPP where the system is not Linux, ... */
export async function offerDevice(options: OfferOptions): Promise<Offer> {
  return new Server(await loadSystem(), options);
}

class Server implements Offer {
  readonly counters: OfferCounters = {
    connections: 0,
    refusedConnections: 0,
    refusedRequests: 0,
    failures: 0,
  };
  lastFailure: string | undefined;
  readonly #system: System;
  readonly #options: OfferOptions;
  readonly #listener: number;
  #session: Session | undefined;
  /** Front-ends that were refused while this one is there. */
  #refused = 0;
  #closed = false;

  constructor(system: System, options: OfferOptions) {
    this.#system = system;
    this.#options = options;
    this.#listener = listen(system, options.path);
    const result = system.reactor.add(this.#listener, () => this.#accept());
    if (result < 0) {
      system.libc.close(this.#listener);
      throw failed('epoll_ctl', result, options.path);
    }
  }

  get path(): string {
    return this.#options.path;
  }

  get connected(): boolean {
    // It may have died a moment ago.
    this.#session?.poll();
    return this.#session !== undefined;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#system.reactor.remove(this.#listener);
    this.#system.libc.close(this.#listener);
    rmSync(this.path, { force: true });
    this.#session?.close('the device was taken away');
  }

  #accept(): void {
    while (!this.#closed) {
      const fd = this.#system.libc.accept(this.#listener, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd === -constants.errno.EINTR || fd === -constants.errno.ECONNABORTED) continue;
      if (fd < 0) {
        if (fd !== -constants.errno.EAGAIN) this.#log(`accept: errno ${-fd}`);
        return;
      }
      this.#connected(fd);
    }
  }

  #connected(fd: number): void {
    if (!this.connected) {
      this.#serve(fd);
      return;
    }
    this.#system.libc.close(fd);
    this.counters.refusedConnections++;
    this.#refused++;
    if (this.#refused <= MAX_REFUSED_LOGGED) this.#log('a second front-end was refused');
  }

  #serve(fd: number): void {
    const { device, clock } = this.#options;
    const began = clock.monotonicMs();
    this.counters.connections++;
    this.#refused = 0;
    const session = new Session(this.#system, fd, device, {
      log: (text) => this.#log(text),
      refused: () => this.counters.refusedRequests++,
      ended: (reason, faulty) => {
        this.#session = undefined;
        const seconds = ((clock.monotonicMs() - began) / 1000).toFixed(1);
        if (faulty) {
          this.counters.failures++;
          this.lastFailure = reason;
        }
        this.#log(`${faulty ? 'thrown out' : 'gone'} after ${seconds} s: ${reason}`);
      },
    });
    this.#session = session;
    this.#log('a front-end is there');
    session.start();
  }

  #log(text: string): void {
    this.#options.log(`${this.path}: ${text}`);
  }
}

/** A listening socket that only its owner may connect to. @throws SystemError */
function listen({ libc }: System, path: string): number {
  const fd = libc.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) throw failed('socket', fd, path);
  const attempt = (syscall: string, result: number) => {
    if (result >= 0) return;
    libc.close(fd);
    throw failed(syscall, result, path);
  };
  rmSync(path, { force: true });
  attempt('bind', libc.bind(fd, unixAddress(path)));
  // Nobody can connect before it listens.
  chmodSync(path, 0o600);
  attempt('listen', libc.listen(fd, BACKLOG));
  return fd;
}

/** struct sockaddr_un. */
function unixAddress(path: string): Uint8Array {
  const name = new TextEncoder().encode(path);
  const address = new Uint8Array(2 + name.length + 1);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(name, 2);
  return address;
}

function failed(syscall: string, result: number, path: string): SystemError {
  return new SystemError(codeOf(-result, 'linux') ?? 'EIO', { syscall, path });
}
