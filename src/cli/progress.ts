/** What is shown on stderr while something takes its time. */
import type { Io } from './io.js';
import { formatSize } from './parse.js';

/** Nobody sees the spinner of what is done before. */
const DELAY_MS = 300;
/** How often a line of progress is shown anew, milliseconds. */
const REPAINT_MS = 200;

/** A spinner for what takes long enough to be noticed; only for terminals. */
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

/** A line that tells how much was moved: repainted on a terminal, elsewhere written once at the end. */
export function transferLine({ stderr, isTty }: Io) {
  const start = performance.now();
  let moved = { sent: 0, received: 0 };
  let shownAt = 0;
  const text = (now: number) => {
    const { sent, received } = moved;
    const rate = ((sent + received) / Math.max(now - start, 1)) * 1000;
    return `${formatSize(sent)} sent, ${formatSize(received)} received, ${formatSize(Math.round(rate))}/s`;
  };
  const line = {
    update(sent: number, received: number): void {
      moved = { sent, received };
      const now = performance.now();
      if (!isTty.stderr || now - shownAt < REPAINT_MS) return;
      shownAt = now;
      stderr.write(`\r\u001b[K${text(now)}`);
    },
    end(): void {
      const last = text(performance.now());
      stderr.write(isTty.stderr ? `\r\u001b[K${last}\n` : `${last}\n`);
    },
  };
  line.update(0, 0);
  return line;
}

const BAR_WIDTH = 20;

/** A line with a bar that fills, painted over itself and gone at the end. Only for terminals. */
export function barLine(stderr: Io['stderr']) {
  return {
    /** @param share how much is done, from 0 to 1. */
    update(share: number, text: string): void {
      const full = Math.round(Math.min(1, Math.max(0, share)) * BAR_WIDTH);
      const bar = `${'█'.repeat(full)}${'░'.repeat(BAR_WIDTH - full)}`;
      stderr.write(`\r\u001b[K${bar} ${text}`);
    },
    end(): void {
      stderr.write('\r\u001b[K');
    },
  };
}
