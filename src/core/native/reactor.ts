/**
 * Tells when descriptors are ready. They stand in one edge-triggered epoll instance, and the event loop of Node watches
 * that one: no thread, one system call for many events, and none to say what one waits for. Linux.
 *
 * libuv's own streams don't do for the sockets here: they cut messages at their buffer, take an empty one for the
 * end, and don't say that a peer takes no more.
 */
import { type Koffi, loadKoffi } from './koffi.js';
import { type Libc, loadLibc } from './libc.js';

/** Bits of epoll_event.events. Source: Linux include/uapi/linux/eventpoll.h. */
export const EPOLLIN = 0x1;
export const EPOLLOUT = 0x4;
export const EPOLLERR = 0x8;
export const EPOLLHUP = 0x10;
export const EPOLLRDHUP = 0x2000;
const EPOLLET = 0x80000000;
export const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
export const EPOLL_CLOEXEC = 0o2000000;

/** struct epoll_event is packed on x86-64 alone. */
const DATA_OFFSET = process.arch === 'x64' ? 4 : 8;
export const EPOLL_EVENT_SIZE = DATA_OFFSET + 8;
/** Events taken at once. */
const BATCH = 64;

/** Told of new events of a descriptor: EPOLL* bits. What it was told once, it isn't told again until it changes. */
export type Listener = (events: number) => void;

export class Reactor {
  readonly #libc: Libc;
  readonly #epoll: number;
  readonly #poll: ReturnType<Koffi['node']['poll']>;
  readonly #listeners = new Map<number, Listener>();
  readonly #events = new Uint8Array(BATCH * EPOLL_EVENT_SIZE);
  readonly #view = new DataView(this.#events.buffer);

  private constructor(koffi: Koffi, libc: Libc, epoll: number) {
    this.#libc = libc;
    this.#epoll = epoll;
    // The callback comes without a turn of the microtasks after it; an immediate has one.
    this.#poll = koffi.node.poll(epoll, { readable: true }, () => {
      setImmediate(() => this.#dispatch());
    });
    this.#poll.unref();
  }

  /** @throws NativeMissingError; the negated errno where the system has no epoll or no descriptor is left. */
  static async start(): Promise<Reactor | number> {
    const [koffi, libc] = [await loadKoffi(), await loadLibc()];
    const epoll = libc.epollCreate(EPOLL_CLOEXEC);
    return epoll < 0 ? epoll : new Reactor(koffi, libc, epoll);
  }

  /** Begins to tell; the first events may come at once. 0, or a negated errno. The process stays while it waits. */
  add(fd: number, listener: Listener): number {
    const event = new DataView(new ArrayBuffer(EPOLL_EVENT_SIZE));
    event.setUint32(0, (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) >>> 0, true);
    event.setInt32(DATA_OFFSET, fd, true);
    const result = this.#libc.epollCtl(
      this.#epoll,
      EPOLL_CTL_ADD,
      fd,
      new Uint8Array(event.buffer),
    );
    if (result < 0) return result;
    this.#listeners.set(fd, listener);
    this.#poll.ref();
    return 0;
  }

  /** To be called before the descriptor is closed. */
  remove(fd: number): void {
    if (!this.#listeners.delete(fd)) return;
    this.#libc.epollCtl(this.#epoll, EPOLL_CTL_DEL, fd, new Uint8Array(EPOLL_EVENT_SIZE));
    if (this.#listeners.size === 0) this.#poll.unref();
  }

  close(): void {
    this.#poll.close();
    this.#libc.close(this.#epoll);
    this.#listeners.clear();
  }

  #dispatch(): void {
    const count = this.#libc.epollWait(this.#epoll, this.#events, BATCH);
    for (let index = 0; index < count; index++) {
      const events = this.#view.getUint32(index * EPOLL_EVENT_SIZE, true);
      const fd = this.#view.getInt32(index * EPOLL_EVENT_SIZE + DATA_OFFSET, true);
      this.#listeners.get(fd)?.(events);
    }
  }
}
