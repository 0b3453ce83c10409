/** A spinner for what takes long enough to be noticed; only for terminals. */
import type { Io } from './io.js';

/** Nobody sees the spinner of what is done before. */
const DELAY_MS = 300;

export async function spin<R>(io: Io, text: string, work: Promise<R>): Promise<R> {
  let stop: (() => void) | undefined;
  let over = false;
  const timer = setTimeout(async () => {
    const { default: ora } = await import('ora');
    if (over) return;
    const spinner = ora({
      text,
      stream: io.stderr as NodeJS.WriteStream,
      discardStdin: false,
    }).start();
    stop = () => spinner.stop();
  }, DELAY_MS);
  try {
    return await work;
  } finally {
    over = true;
    clearTimeout(timer);
    stop?.();
  }
}
