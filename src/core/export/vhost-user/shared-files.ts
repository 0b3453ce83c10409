/** Parts of files that a front-end shares with us: looked at before they are taken. */
import { fstatSync } from 'node:fs';
import type { FileMemory } from '../../native/file-memory.js';
import type { SharedMemory } from '../../native/shared-memory.js';
import type { System } from './system.js';

const PAGE = 4096;

/** Says what is wrong with a piece of memory, for the log. */
export class MemoryError extends Error {}

/** Bytes; the descriptor is the caller's. */
export interface FileRange {
  readonly fd: number;
  readonly offset: number;
  readonly length: number;
}

/** Mappings begin at pages, ranges need not: how far the range is from there. */
export function skipOf({ offset }: FileRange): number {
  return offset % PAGE;
}

/** Maps a range, from its page's begin on. @throws MemoryError */
export function mapFile({ memories }: System, range: FileRange): SharedMemory {
  const { fd, offset, length } = range;
  const file = fstatSync(fd);
  if (!file.isFile()) throw new MemoryError('memory that is no file');
  if (offset + length > file.size) {
    throw new MemoryError(`a region ends at ${offset + length} in a file of ${file.size} bytes`);
  }
  const skip = skipOf(range);
  const memory = memories.map(fd, skip + length, offset - skip);
  if (typeof memory === 'number') throw new MemoryError(`mmap: errno ${-memory}`);
  return memory;
}

/** The same, to be read and written by calls. @throws MemoryError */
export function openFile(system: System, range: FileRange): FileMemory {
  const mapping = mapFile(system, range);
  const file = system.files.open(range.fd, range.offset - skipOf(range), mapping);
  if (typeof file !== 'number') return file;
  mapping.release();
  throw new MemoryError(`dup: errno ${-file}`);
}
