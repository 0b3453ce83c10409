/**
 * Calls that wait by their nature (an ioctl that runs a vCPU or waits for an event) are made on a thread of their own.
 * A signal ends them early, which the node sees as the system would have it: the call fails with EINTR.
 *
 * The signal is SIGURG: it is ignored where nobody handles it, and nothing else in the process uses it.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { type Koffi, loadKoffi } from './koffi.js';
import type { IoctlArgument } from './libc.js';

const SIGURG = process.platform === 'linux' ? 23 : 16;
/** How often the signal is sent until the call has ended: one that comes before the call waits does nothing. */
const SIGNAL_EVERY_MS = 5;

/** What the thread is asked. */
export type BlockingCall =
  | { call: 'ioctl'; fd: number; request: number; argument: IoctlArgument }
  | { call: 'send'; fd: number; argument: Uint8Array; flags: number };

/** What it says: once who it is, then the result of each call and what its argument has become. */
export type BlockingAnswer =
  | { thread: bigint }
  | { result: number; argument: IoctlArgument }
  | { failure: unknown };

export interface BlockingOptions {
  signal?: AbortSignal | undefined;
  /** Milliseconds; the call is then ended as by the signal. */
  timeoutMs?: number | undefined;
}

interface Thread {
  worker: Worker;
  /** The descriptor of its last call. */
  fd: number;
  /** Ends the system call that it waits in. */
  interrupt(): void;
}

/** Threads that wait for work. */
const idle: Thread[] = [];

/**
 * ioctl(2) on another thread. Its result, or a negated errno: -EINTR when it was ended by the signal or the time-out.
 * `argument` is filled in when the call has ended, and must not be used before.
 * @throws NativeMissingError
 */
export async function blockingIoctl(
  fd: number,
  request: number,
  argument: IoctlArgument,
  options: BlockingOptions = {},
): Promise<number> {
  const answer = await onThread({ call: 'ioctl', fd, request, argument }, options);
  if (typeof argument === 'object') argument.set(answer.argument as Uint8Array);
  return answer.result;
}

/**
 * send(2) on another thread, on a socket that blocks. Its result, or a negated errno. No signal ends it, since that may
 * be in the middle of a message: shutdown(2) does, and until then the descriptor must not be closed.
 * @throws NativeMissingError
 */
export async function blockingSend(fd: number, bytes: Uint8Array, flags: number): Promise<number> {
  const { result } = await onThread({ call: 'send', fd, argument: bytes, flags }, {});
  return result;
}

async function onThread(
  call: BlockingCall,
  options: BlockingOptions,
): Promise<{ result: number; argument: IoctlArgument }> {
  const thread = takeIdle(call.fd) ?? (await startThread(await loadKoffi()));
  thread.fd = call.fd;
  thread.worker.ref();
  const stopSignals = interruptOn(thread, options);
  try {
    const answer = await ask(thread.worker, call);
    if ('failure' in answer) throw answer.failure;
    if (!('result' in answer)) throw new Error('a thread for system calls said who it is twice');
    return answer;
  } finally {
    stopSignals();
    thread.worker.unref();
    idle.push(thread);
  }
}

/** The one that served the descriptor last, if it can be: KVM takes time when a vCPU comes to another thread. */
function takeIdle(fd: number): Thread | undefined {
  const same = idle.findLastIndex((thread) => thread.fd === fd);
  return same < 0 ? idle.pop() : idle.splice(same, 1)[0];
}

/** Ends the threads that are idle. */
export async function endThreads(): Promise<void> {
  await Promise.all(idle.splice(0).map(({ worker }) => worker.terminate()));
}

async function startThread(koffi: Koffi): Promise<Thread> {
  handleSignal(koffi);
  const worker = new Worker(workerProgram());
  const answer = await nextAnswer(worker);
  if ('failure' in answer) throw answer.failure;
  if (!('thread' in answer)) throw new Error('a thread for system calls did not say who it is');
  const kill = koffi.load(null).func('int pthread_kill(uintptr_t thread, int signal)');
  return { worker, fd: -1, interrupt: () => kill(answer.thread, SIGURG) };
}

/** In a bundle the thread's program lies beside it as blocking.cjs. */
function workerProgram(): string {
  const bundled = join(import.meta.dirname, 'blocking.cjs');
  return existsSync(bundled) ? bundled : join(import.meta.dirname, 'blocking-worker.js');
}

function ask(worker: Worker, call: BlockingCall): Promise<BlockingAnswer> {
  const answer = nextAnswer(worker);
  worker.postMessage(call);
  return answer;
}

function nextAnswer(worker: Worker): Promise<BlockingAnswer> {
  return new Promise((resolve, reject) => {
    const settle = (action: () => void) => {
      worker.off('message', answered);
      worker.off('error', failed);
      action();
    };
    const answered = (answer: BlockingAnswer) => settle(() => resolve(answer));
    const failed = (error: unknown) => settle(() => reject(error));
    worker.on('message', answered);
    worker.on('error', failed);
  });
}

/** Sends the thread the signal when it is to stop waiting, again and again until it has. */
function interruptOn(thread: Thread, { signal, timeoutMs }: BlockingOptions) {
  let again: NodeJS.Timeout | undefined;
  const interrupt = () => {
    thread.interrupt();
    again ??= setInterval(() => thread.interrupt(), SIGNAL_EVERY_MS);
  };
  const late = timeoutMs === undefined ? undefined : setTimeout(interrupt, timeoutMs);
  signal?.addEventListener('abort', interrupt);
  if (signal?.aborted) interrupt();
  return () => {
    clearTimeout(late);
    clearInterval(again);
    signal?.removeEventListener('abort', interrupt);
  };
}

let handled = false;

/** A handler makes the signal end a system call; this one is a function of libc that does nothing with its number. */
function handleSignal(koffi: Koffi): void {
  if (handled) return;
  handled = true;
  const library = koffi.load(null);
  library.func('void *signal(int signal, uintptr_t handler)')(SIGURG, library.symbol('abs'));
  library.func('int siginterrupt(int signal, int flag)')(SIGURG, 1);
}
