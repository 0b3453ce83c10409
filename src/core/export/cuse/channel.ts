/** One open /dev/cuse, which is one node below /dev for as long as it stays open. */
import { chmodSync, lstatSync } from 'node:fs';
import { codeOf, type ErrorCode, errnoOf, SystemError } from '../../abi/errno.js';
import { type Libc, loadLibc } from '../../native/libc.js';
import { Reactor } from '../../native/reactor.js';
import { answerInit, MAX_TRANSFER } from './message.js';

const CUSE = '/dev/cuse';
/** The flags of open(2) in Linux. */
const [O_RDWR, O_NONBLOCK, O_CLOEXEC] = [0o2, 0o4000, 0o2000000];
/** Room for the largest request, and then some for headers. */
const READ_SIZE = MAX_TRANSFER + 64 * 1024;
/** Requests taken before others get their turn. */
const BATCH = 64;

const AGAIN = -errnoOf('EAGAIN', 'linux');
/** A request whose caller was killed while we read it; the next one is due. */
const ABORTED = -errnoOf('ENOENT', 'linux');
/** What a reply meets when nobody waits for it any more: no such request, or no such node. */
const LOST = [-errnoOf('ENOENT', 'linux'), -errnoOf('ENODEV', 'linux')];

export interface ChannelListener {
  /** A request. */
  received(message: Uint8Array): void;
  /** The node is gone, and not because we closed it. */
  ended(code: ErrorCode): void;
}

export interface ChannelOptions {
  /** The node's path without /dev/. */
  readonly name: string;
  /** The node's permissions, as the rules of udev would set them. */
  readonly mode: number;
  /** For what went wrong without harm. */
  log(text: string): void;
}

/** The calls that channels are made of, loaded and started once. */
export interface CuseSystem {
  readonly libc: Pick<Libc, 'open' | 'read' | 'write' | 'close'>;
  readonly reactor: Pick<Reactor, 'add' | 'remove'>;
  /** Where requests are read to, one at a time. */
  readonly buffer: Uint8Array;
}

let started: Promise<CuseSystem> | undefined;

/** @throws SystemError EOPNOTSUPP where no system calls can be made, or where there can't be a /dev/cuse. */
export function cuseSystem(): Promise<CuseSystem> {
  started ??= startSystem().catch((cause: unknown) => {
    started = undefined;
    throw cause;
  });
  return started;
}

async function startSystem(): Promise<CuseSystem> {
  if (process.platform !== 'linux') {
    throw new SystemError('EOPNOTSUPP', { message: `only Linux has ${CUSE}` });
  }
  try {
    const libc = await loadLibc();
    const reactor = await Reactor.start();
    if (typeof reactor === 'number') throw systemError(reactor, 'epoll_create1');
    return { libc, reactor, buffer: new Uint8Array(READ_SIZE) };
  } catch (cause) {
    if (cause instanceof SystemError) throw cause;
    throw new SystemError('EOPNOTSUPP', { message: String(cause), cause });
  }
}

export class CuseChannel {
  readonly path: string;
  readonly #system: CuseSystem;
  readonly #fd: number;
  readonly #log: (text: string) => void;
  #listener: ChannelListener | undefined;
  #closed = false;

  /**
   * Makes a node, which is there when this returns; requests come after `listen`.
   * @throws SystemError ENODEV (no CUSE here), EACCES, EEXIST (the name is taken), EPROTO.
   */
  constructor(system: CuseSystem, { name, mode, log }: ChannelOptions) {
    this.path = `/dev/${name}`;
    this.#system = system;
    this.#log = (text) => log(`${this.path}: ${text}`);
    if (exists(this.path)) throw taken(this.path);
    this.#fd = openCuse(system.libc);
    try {
      this.#introduce(name);
    } catch (error) {
      system.libc.close(this.#fd);
      throw error;
    }
    try {
      chmodSync(this.path, mode);
    } catch (error) {
      // Who may use CUSE need not own what it makes; then a rule of udev has to say who may use the node.
      this.#log(`it keeps the permissions that it has: ${String(error)}`);
    }
  }

  /** Begins to take requests. @throws SystemError when it can't, and the node is gone. */
  listen(listener: ChannelListener): void {
    const result = this.#system.reactor.add(this.#fd, () => this.#drain());
    if (result >= 0) {
      this.#listener = listener;
      return;
    }
    this.close();
    throw systemError(result, 'epoll_ctl');
  }

  /** Writes a reply. One to a request that the kernel has given up is lost; that the node is gone is told by reading. */
  send(reply: Uint8Array): void {
    if (this.#closed) return;
    const result = this.#system.libc.write(this.#fd, reply);
    if (result >= 0 || LOST.includes(result)) return;
    this.#log(`a reply is not taken (${systemError(result, 'write').code})`);
  }

  /** The node goes; calls under way fail with what the kernel says then. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#system.reactor.remove(this.#fd);
    this.#system.libc.close(this.#fd);
  }

  /** The kernel asks who we are when the descriptor is opened, and makes the node while the answer is written. */
  #introduce(name: string): void {
    const { libc, buffer } = this.#system;
    const size = libc.read(this.#fd, buffer);
    const answer = size < 0 ? undefined : answerInit(buffer.subarray(0, size), name);
    if (answer === undefined) {
      throw new SystemError('EPROTO', { path: CUSE, message: 'the kernel has another CUSE' });
    }
    const written = libc.write(this.#fd, answer);
    if (written < 0) throw systemError(written, 'write');
    // It says nothing to a name that it does not take, and hangs up.
    if (libc.read(this.#fd, buffer) !== AGAIN) throw taken(this.path);
    if (exists(this.path)) return;
    throw new SystemError('ENODEV', {
      path: this.path,
      message: 'the node did not appear',
      hint: '/dev has to be a devtmpfs',
    });
  }

  #drain(): void {
    const { libc, buffer } = this.#system;
    for (let count = 0; count < BATCH; count++) {
      if (this.#closed) return;
      const size = libc.read(this.#fd, buffer);
      if (size === AGAIN) return;
      if (size === ABORTED) continue;
      if (size < 0) {
        this.close();
        this.#listener?.ended(systemError(size, 'read').code);
        return;
      }
      this.#listener?.received(buffer.slice(0, size));
    }
    // Edges are told once, and there may be more.
    setImmediate(() => this.#drain());
  }
}

function openCuse(libc: CuseSystem['libc']): number {
  const fd = libc.open(CUSE, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);
  if (fd >= 0) return fd;
  const { code, message } = systemError(fd, 'open');
  if (code === 'ENOENT' || code === 'ENODEV' || code === 'ENXIO') {
    throw new SystemError('ENODEV', {
      path: CUSE,
      message: 'this machine has no CUSE',
      hint: 'as root: modprobe cuse',
    });
  }
  const hint =
    code === 'EACCES' ? `run the simulated host as root, or let it open ${CUSE}` : undefined;
  throw new SystemError(code, { syscall: 'open', path: CUSE, message, hint });
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function taken(path: string): SystemError {
  return new SystemError('EEXIST', {
    path,
    message: 'there is a node of this name already',
    hint: 'it may be exported for another VM, or be the real device',
  });
}

function systemError(result: number, syscall: string): SystemError {
  const code = codeOf(-result, 'linux');
  if (code !== undefined) return new SystemError(code, { syscall });
  return new SystemError('EIO', { syscall, message: `the system's error number ${-result}` });
}
