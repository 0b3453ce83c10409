/** A place to run command lines in: a directory with a simulated host of its own, and `vmmctl` first in PATH. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** How long a command line may take, milliseconds. */
const PATIENCE_MS = 30_000;
/** How often a file is looked at that a process writes, milliseconds. */
const POLL_MS = 10;

/** Runs what ProxyCommand says as ssh does, and says hello to what it finds there. */
const SSH = `#!/bin/sh
proxy=$(printf %s "\${2#ProxyCommand=}" | sed "s/%h/$3/")
echo SSH-2.0-stand-in | sh -c "exec $proxy"
`;
const MAKE = '#!/bin/sh\necho "checked $VMMCTL_VM"\n';

export interface Ran {
  status: number | null;
  out: string;
  err: string;
}

export interface Job {
  /** Resolves when the line has said on stderr that it listens, with what it said; rejects when it ends before. */
  readonly listening: Promise<string>;
  readonly done: Promise<Ran>;
  /** Whether it prints something before it ends. */
  prints(pattern: RegExp): Promise<boolean>;
  kill(): void;
  /** Ends it, with all that it started. */
  end(): Promise<Ran>;
}

export interface RunOptions {
  stdin?: string | undefined;
  directory?: 'runtime' | undefined;
  env?: Readonly<Record<string, string>> | undefined;
}

/** Places that are still to be cleaned up when the process ends in the middle of a test. */
const open = new Set<Place>();
process.once('exit', () => {
  for (const place of open) place.abandon();
});
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(1));

export class Place {
  readonly directory = mkdtempSync(join(tmpdir(), 'vd-'));
  readonly #env: Record<string, string>;
  readonly #jobs = new Set<Job>();
  #outputs = 0;

  constructor() {
    open.add(this);
    const at = (name: string) => {
      mkdirSync(join(this.directory, name), { mode: 0o700 });
      return join(this.directory, name);
    };
    const bin = at('bin');
    symlinkSync(resolve('bin/vmmctl.cjs'), join(bin, 'vmmctl'));
    writeFileSync(join(bin, 'ssh'), SSH, { mode: 0o755 });
    writeFileSync(join(bin, 'make'), MAKE, { mode: 0o755 });
    at('work');
    writeFileSync(this.file('report.txt'), 'hello\n');
    mkdirSync(this.file('docs'));
    writeFileSync(this.file('docs/page'), 'text\n');
    this.#env = {
      PATH: `${bin}:${process.env.PATH}`,
      HOME: at('home'),
      LANG: 'C.UTF-8',
      XDG_RUNTIME_DIR: at('r'),
      XDG_STATE_HOME: at('s'),
    };
  }

  /** A file of the directory that command lines run in. */
  file(name: string): string {
    return join(this.directory, 'work', name);
  }

  /** Runs a command line to its end. */
  run(line: string, options: RunOptions = {}): Promise<Ran> {
    return this.start(line, options).done;
  }

  /** Starts a command line, in a process group of its own. */
  start(line: string, { stdin = '', directory, env = {} }: RunOptions = {}): Job {
    const path = join(this.directory, `out-${this.#outputs++}`);
    const output = openSync(path, 'w');
    const runtime = join(this.directory, 'r', 'vmmctl', 'default');
    const child = spawn('bash', ['-o', 'pipefail', '-c', line], {
      cwd: directory === 'runtime' ? runtime : join(this.directory, 'work'),
      env: { ...this.#env, ...env },
      stdio: ['pipe', output, 'pipe'],
      detached: true,
    });
    closeSync(output);
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(stdin);
    const job = watch(child, line, () => readFileSync(path, 'utf8'));
    this.#jobs.add(job);
    return job;
  }

  /** Ends everything and removes the directory. */
  async close(): Promise<void> {
    await Promise.all([...this.#jobs].map((job) => job.end()));
    for (const uri of this.#hosts()) await this.run(`vmmctl sim stop --backend ${uri}`);
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 });
    open.delete(this);
  }

  /** The same at the end of the process, when nothing can be waited for. */
  abandon(): void {
    for (const job of this.#jobs) job.kill();
    for (const uri of this.#hosts()) {
      const options = { env: this.#env, stdio: 'ignore', timeout: 5000 } as const;
      spawnSync('vmmctl', ['sim', 'stop', '--backend', uri], options);
    }
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }

  /** Simulated hosts that were started here. */
  #hosts(): string[] {
    const directory = join(this.directory, 'r', 'vmmctl');
    const names = existsSync(directory) ? readdirSync(directory) : [];
    return names.map((name) => (name === 'default' ? 'sim' : `sim:${name}`));
  }
}

function watch(child: ChildProcess, line: string, output: () => string): Job {
  let err = '';
  let ended = false;
  /** None of its processes is left: their numbers may be others' by now. */
  let gone = false;
  let heard: (text: string) => void = () => undefined;
  const kill = (signal: NodeJS.Signals | 0) => {
    if (gone || child.pid === undefined) return;
    try {
      process.kill(-child.pid, signal);
    } catch {
      gone = true;
    }
  };
  const late = setTimeout(() => {
    err += `\nnot done in ${PATIENCE_MS / 1000} s`;
    kill('SIGKILL');
  }, PATIENCE_MS);
  child.stderr?.on('data', (chunk: Buffer) => {
    err += chunk.toString();
    if (/listening on .*\n/.test(err)) heard(err);
  });
  const done = once(child, 'close').then(([status]): Ran => {
    clearTimeout(late);
    ended = true;
    kill(0);
    return { status: status as number | null, out: output(), err };
  });
  const listening = new Promise<string>((resolve, reject) => {
    heard = resolve;
    done.then(() => reject(new Error(`'${line}' ended before it listened: ${err}`)), reject);
  });
  listening.catch(() => undefined);
  return {
    listening,
    done,
    async prints(pattern) {
      while (!ended && !pattern.test(output())) await delay(POLL_MS);
      return pattern.test(output());
    },
    kill: () => kill('SIGKILL'),
    end: () => {
      kill('SIGTERM');
      return done;
    },
  };
}
