/**
 * What a simulated host must not forget: its persistent VMs, one JSON line for each change, synced before
 * anybody is told that the change was made. At each start the file is written anew, in one atomic step.
 */
import {
  closeSync,
  fdatasync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import type { SavedVm } from '../simulator/domain.js';
import type { SavedVbox } from '../simulator/vbox/vbox-vm.js';

/** Resolves when what was written to a file is on disk. */
export type Sync = (fd: number) => Promise<void>;

/** A VM, and how it is offered to programs that know nothing of vmmctl: kinds of exports. */
export interface KeptVm extends SavedVm {
  readonly exports?: readonly string[];
}

interface Line {
  put?: KeptVm;
  del?: string;
}

/** Reads the VMs of a journal. A last line that was cut by a crash is left out; `damaged` counts all other bad lines. */
export function readJournal(path: string): { vms: KeptVm[]; damaged: number } {
  const vms = new Map<string, KeptVm>();
  let damaged = 0;
  const lines = readText(path).split('\n');
  // A line counts once its newline is there; what follows the last one was never acknowledged.
  for (const line of lines.slice(0, -1)) {
    const entry = parseLine(line);
    if (entry?.put !== undefined) vms.set(entry.put.name, entry.put);
    else if (entry?.del !== undefined) vms.delete(entry.del);
    else if (line !== '') damaged++;
  }
  return { vms: [...vms.values()], damaged };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

function parseLine(line: string): Line | undefined {
  try {
    const entry: unknown = JSON.parse(line);
    if (typeof entry !== 'object' || entry === null) return undefined;
    const { put, del } = entry as { put?: unknown; del?: unknown };
    if (isKeptVm(put)) return { put };
    return typeof del === 'string' ? { del } : undefined;
  } catch {
    return undefined;
  }
}

function isKeptVm(value: unknown): value is KeptVm {
  if (!isSavedVm(value)) return false;
  const { exports = [] } = value as { exports?: unknown };
  return Array.isArray(exports) && exports.every((kind) => typeof kind === 'string');
}

function isSavedVm(value: unknown): value is SavedVm {
  if (typeof value !== 'object' || value === null) return false;
  const vm = value as Partial<SavedVm>;
  const isRecord = (field: unknown) => typeof field === 'object' && field !== null;
  return (
    typeof vm.name === 'string' &&
    typeof vm.createdAtMs === 'number' &&
    (typeof vm.cid === 'number' || vm.cid === null) &&
    [vm.labels, vm.creator, vm.topology].every(isRecord) &&
    Array.isArray(vm.memsegs) &&
    vm.memsegs.every(isRecord) &&
    (vm.memmaps === undefined || (Array.isArray(vm.memmaps) && vm.memmaps.every(isRecord))) &&
    (vm.vbox === undefined || isSavedVbox(vm.vbox)) &&
    [undefined, 'virtio', 'vmci'].includes(vm.vsockTransport)
  );
}

function isSavedVbox(value: unknown): value is SavedVbox {
  if (typeof value !== 'object' || value === null) return false;
  const { balloon, heartbeat, properties } = value as Partial<SavedVbox>;
  return (
    typeof balloon === 'number' &&
    typeof heartbeat === 'object' &&
    heartbeat !== null &&
    Array.isArray(properties) &&
    properties.every(isSavedProperty)
  );
}

function isSavedProperty(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { name, value: text, timestamp, flags } = value as Record<string, unknown>;
  return [name, text, timestamp, flags].every((field) => typeof field === 'string');
}

/** Writes a file so that either the old or the new one is there, whatever happens. */
export function writeAtomically(path: string, text: string): void {
  const temporary = `${path}.new`;
  const fd = openSync(temporary, 'w', 0o600);
  try {
    writeFileSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, path);
  const directory = openSync(dirname(path), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

export class Journal {
  readonly #fd: number;
  readonly #syncFile: Sync;
  #written = 0;
  #synced = 0;
  #running: Promise<void> | undefined;
  /** The last line was cut, by a disk that is full. */
  #torn = false;

  /** Starts a journal that holds exactly `vms`. */
  constructor(path: string, vms: readonly KeptVm[], syncFile: Sync = promisify(fdatasync)) {
    this.#syncFile = syncFile;
    writeAtomically(path, vms.map((vm) => `${JSON.stringify({ put: vm })}\n`).join(''));
    this.#fd = openSync(path, 'a', 0o600);
  }

  put(vm: KeptVm): void {
    this.#append({ put: vm });
  }

  del(name: string): void {
    this.#append({ del: name });
  }

  /** Resolves when all that was written so far is on disk; many callers share one sync. */
  async flush(): Promise<void> {
    const target = this.#written;
    while (this.#synced < target) {
      this.#running ??= this.#sync();
      await this.#running;
    }
  }

  close(): void {
    closeSync(this.#fd);
  }

  #append(line: Line): void {
    const text = Buffer.from(`${this.#torn ? '\n' : ''}${JSON.stringify(line)}\n`);
    this.#torn = true;
    for (let at = 0; at < text.length; ) at += writeSync(this.#fd, text, at);
    this.#torn = false;
    this.#written++;
  }

  async #sync(): Promise<void> {
    const upTo = this.#written;
    try {
      await this.#syncFile(this.#fd);
      this.#synced = upTo;
    } finally {
      this.#running = undefined;
    }
  }
}
