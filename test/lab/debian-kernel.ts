/**
 * The kernels that Debian's `linux-image` packages hold, with their modules. They are downloaded once, with apt, into
 * a cache of the project, and never installed.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** A package for each series that Debian 12 has; each depends on the newest release. */
const PACKAGES = { '6.12': 'linux-image-6.12-amd64', '6.1': 'linux-image-amd64' } as const;
/** The same for PCs of 32 bits. Its lists are fetched with it, since apt has those of the host alone. */
const I386_PACKAGE = 'linux-image-686';

const CACHE = 'node_modules/.cache/vmmctl-lab';
const DOWNLOAD_MS = 300_000;
const DEPMOD = '/usr/sbin/depmod';
const MODPROBE = '/usr/sbin/modprobe';

export type KernelSeries = keyof typeof PACKAGES;

export interface DebianKernel {
  readonly release: string;
  /** Path of what boots. */
  readonly image: string;
  /** The directory that holds the modules, below the release. */
  readonly modules: string;
  /** A shell with mount and insmod that needs no libraries. */
  readonly busybox: string;
}

/** Finds a kernel in the cache, or gets it. It throws a sentence when it can't be had. */
export function debianKernel(series: KernelSeries): DebianKernel {
  return cached(`linux-${series}`, (draft) => download(draft, PACKAGES[series], []));
}

/** The kernel 6.1 for PCs of 32 bits. */
export function debianKernelI386(): DebianKernel {
  return cached('linux-6.1-i386', (draft) => {
    const own = [
      ...['-oAPT::Architecture=i386', '-oAPT::Architectures=i386'],
      '-oAPT::Sandbox::User=root',
      ...[`-oDir::State::Lists=${draft}/lists`, `-oDir::Cache=${draft}/cache`],
    ];
    for (const place of ['lists/partial', 'cache/archives/partial']) {
      mkdirSync(join(draft, place), { recursive: true });
    }
    updateLists(draft, own);
    download(draft, I386_PACKAGE, own);
    for (const place of ['lists', 'cache']) rmSync(join(draft, place), { recursive: true });
  });
}

function cached(name: string, fetch: (draft: string) => void): DebianKernel {
  const directory = resolve(CACHE, name);
  if (!existsSync(directory)) fetchInto(directory, fetch);
  const modules = join(directory, 'lib/modules');
  const [release = ''] = readdirSync(modules);
  return {
    release,
    image: join(directory, 'boot', `vmlinuz-${release}`),
    modules,
    busybox: join(directory, 'bin/busybox'),
  };
}

/** Paths of the files of modules and of what they need, in the order in which they are loaded. */
export function moduleFiles(kernel: DebianKernel, names: readonly string[]): string[] {
  const root = resolve(kernel.modules, '../..');
  const options = ['-C', '/dev/null', '-d', root, '-S', kernel.release, '--show-depends', '-a'];
  const lines = run(root, MODPROBE, ...options, ...names).split('\n');
  // What is built in has a line of another kind. A module that two others need comes twice.
  const files = lines.filter((line) => line.startsWith('insmod ')).map((line) => line.slice(7));
  return [...new Set(files.map((file) => file.trim()))];
}

/** All or nothing: a directory that is there is whole. */
function fetchInto(directory: string, fetch: (draft: string) => void): void {
  mkdirSync(resolve(CACHE), { recursive: true });
  const draft = mkdtempSync(`${directory}-`);
  try {
    fetch(draft);
    for (const archive of readdirSync(draft)) {
      run(draft, 'dpkg-deb', '-x', archive, '.');
      rmSync(join(draft, archive));
    }
    for (const release of readdirSync(join(draft, 'lib/modules'))) {
      run(draft, DEPMOD, '-b', draft, release);
    }
    renameSync(draft, directory);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    // Another lab may have been faster.
    if (!existsSync(directory)) throw error;
  }
}

/** A mirror that is being changed gives a list that apt refuses; the others, from older archives, will do then. */
function updateLists(draft: string, own: readonly string[]): void {
  try {
    run(draft, 'apt-get', ...own, '-q', 'update');
  } catch (error) {
    const lists = readdirSync(join(draft, 'lists')).filter((name) => name.includes('_Packages'));
    if (lists.every((name) => name.endsWith('.FAILED'))) throw error;
  }
}

/** Gets the packages of a kernel and of busybox; `own` are options of apt. */
function download(draft: string, meta: string, own: readonly string[]): void {
  const depends = run(draft, 'apt-cache', ...own, 'depends', meta);
  const image = /Depends: (linux-image-\S+)/.exec(depends)?.[1] ?? meta;
  for (const name of [image, 'busybox-static']) {
    run(draft, 'apt-get', ...own, '-q', 'download', name);
  }
}

function run(cwd: string, program: string, ...args: string[]): string {
  try {
    return execFileSync(program, args, {
      cwd,
      encoding: 'utf8',
      timeout: DOWNLOAD_MS,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  } catch (cause) {
    const said = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim() : '';
    throw new Error(`${program} ${args.join(' ')} failed (is apt's list up to date?): ${said}`, {
      cause,
    });
  }
}
