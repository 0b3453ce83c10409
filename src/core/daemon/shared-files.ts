/** Memory that the daemon shares with its clients: files that both map, and where in them a model's memory stands. */
import { codeOf, SystemError } from '../abi/errno.js';
import type { QueueMemory } from '../abi/vmci-queue.js';
import { type MemoryFile, MemoryFiles } from '../native/memory-file.js';

/** A file that is mapped here, for as long as somebody holds it. */
export class SharedFile {
  /** What a client opens. It leads to this file only while that is held. */
  readonly path: string;
  readonly memory: QueueMemory;
  readonly #file: MemoryFile;
  #holders = 1;

  /** Held once. */
  constructor(file: MemoryFile) {
    this.path = file.path;
    this.memory = file.memory;
    this.#file = file;
    files.set(file.memory.view(0, 1).buffer, this);
  }

  hold(): void {
    this.#holders++;
  }

  /** Views of it read as zeros after the last one. */
  release(): void {
    this.#holders--;
    if (this.#holders > 0) return;
    this.#file.close();
    this.#file.memory.release();
  }
}

/** Where a client finds some memory. */
export interface Place {
  readonly file: SharedFile;
  /** Bytes, a multiple of the page size. */
  readonly offset: number;
}

let loading: Promise<MemoryFiles> | undefined;
/** By the buffers through which files are seen. None of them is so long that it has two. */
const files = new WeakMap<ArrayBufferLike, SharedFile>();

/** What makes files of zeros, bytes long. @throws SystemError EOPNOTSUPP where that can't be. */
export async function sharedFiles(): Promise<(length: number) => SharedFile> {
  loading ??= MemoryFiles.load();
  try {
    const system = await loading;
    return (length) => shared(system.make(length));
  } catch (cause) {
    throw new SystemError('EOPNOTSUPP', {
      message: 'memory can not be shared here',
      hint: "see 'vmmctl doctor'",
      cause,
    });
  }
}

/** @throws SystemError why there is no file. */
function shared(file: MemoryFile | number): SharedFile {
  if (typeof file !== 'number') return new SharedFile(file);
  throw new SystemError(codeOf(-file, 'linux') ?? 'EIO', { syscall: 'memfd_create' });
}

/** Where some memory is; undefined when it is not in one piece of a shared file. */
export function placeOf(memory: QueueMemory): Place | undefined {
  const first = memory.view(0, memory.length);
  const file = files.get(first.buffer);
  if (file === undefined) return undefined;
  for (let at = first.length; at < memory.length; ) {
    const { buffer, byteOffset, length } = memory.view(at, memory.length - at);
    if (buffer !== first.buffer || byteOffset !== first.byteOffset + at) return undefined;
    at += length;
  }
  return { file, offset: first.byteOffset };
}
