/** The thread that makes one waiting call at a time for blocking.ts. */
import { parentPort } from 'node:worker_threads';
import type { BlockingAnswer, BlockingCall } from './blocking.js';
import { loadKoffi } from './koffi.js';
import { type Libc, loadLibc } from './libc.js';

async function serve(): Promise<void> {
  const koffi = await loadKoffi();
  const libc = await loadLibc();
  const self = koffi.load(null).func('uintptr_t pthread_self()');
  parentPort?.on('message', (call: BlockingCall) => say(answerTo(libc, call)));
  say({ thread: BigInt(self()) });
}

function answerTo(libc: Libc, call: BlockingCall): BlockingAnswer {
  const { fd, argument } = call;
  try {
    if (call.call === 'ioctl') return { result: libc.ioctl(fd, call.request, argument), argument };
    return { result: libc.send(fd, call.argument, call.flags), argument: 0 };
  } catch (failure) {
    return { failure };
  }
}

function say(answer: BlockingAnswer): void {
  parentPort?.postMessage(answer);
}

serve().catch((failure: unknown) => say({ failure }));
