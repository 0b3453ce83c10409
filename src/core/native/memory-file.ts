/**
 * Memory that several processes of one user map. It is a file without a name, which is found through the process that
 * made it and is gone with the last one that has it, and which nobody can make shorter: so to touch it never ends a process.
 * Linux.
 */
import { loadLibc } from './libc.js';
import { SharedMemories, type SharedMemory } from './shared-memory.js';

/** Source: Linux include/uapi/linux/memfd.h, fcntl.h. */
const [MFD_CLOEXEC, MFD_ALLOW_SEALING] = [1, 2];
const [F_ADD_SEALS, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW] = [1033, 1, 2, 4];

export interface MemoryFile {
  /** What another process opens. It has numbers alone in it, and leads there while this one has the file open. */
  readonly path: string;
  readonly memory: SharedMemory;
  /** Closes the file. The memory stays until it is released. */
  close(): void;
}

/** Makes such files. */
export class MemoryFiles {
  readonly #make: (length: number) => MemoryFile | number;

  private constructor(make: (length: number) => MemoryFile | number) {
    this.#make = make;
  }

  /** @throws NativeMissingError */
  static async load(): Promise<MemoryFiles> {
    const [libc, memories] = [await loadLibc(), await SharedMemories.load()];
    return new MemoryFiles((length) => {
      const fd = libc.memfdCreate('vmmctl', MFD_CLOEXEC | MFD_ALLOW_SEALING);
      if (fd < 0) return fd;
      const close = () => {
        libc.close(fd);
      };
      const sized = libc.ftruncate(fd, length);
      const seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
      const sealed = sized < 0 ? sized : libc.fcntl(fd, F_ADD_SEALS, seals);
      const memory = sealed < 0 ? sealed : memories.map(fd, length, 0);
      if (typeof memory !== 'number')
        return { path: `/proc/${process.pid}/fd/${fd}`, memory, close };
      close();
      return memory;
    });
  }

  /** Zeros; a negated errno where the system refuses. `length` is a multiple of the page size. */
  make(length: number): MemoryFile | number {
    return this.#make(length);
  }
}
