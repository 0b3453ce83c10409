/** Memory that this process and the simulated host both map. */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { codeOf, SystemError } from '../../abi/errno.js';
import { SharedMemories, type SharedMemory } from '../../native/shared-memory.js';
import type { MappedMemory } from '../port/node.js';
import type { Connection } from './connection.js';

let loading: Promise<SharedMemories> | undefined;

/**
 * Maps a part of a file that the simulated host has made.
 * @param range bytes, multiples of the page size.
 * @throws SystemError ECONNRESET when the host is gone with it, ENOMEM, EOPNOTSUPP without system calls.
 */
export async function mapFile(
  path: string,
  range: { offset: number; length: number },
): Promise<SharedMemory> {
  loading ??= SharedMemories.load();
  const system = await loading.catch((cause) => {
    throw new SystemError('EOPNOTSUPP', { message: String(cause.message), cause });
  });
  const fd = openFile(path);
  try {
    // To touch what is beyond the end of a file would end this process.
    if (range.offset + range.length > fstatSync(fd).size) {
      throw new SystemError('EPROTO', { message: 'the simulated host makes no sense' });
    }
    const memory = system.map(fd, range.length, range.offset);
    if (typeof memory !== 'number') return memory;
    throw new SystemError(codeOf(-memory, 'linux') ?? 'EIO', { syscall: 'mmap' });
  } finally {
    closeSync(fd);
  }
}

function openFile(path: string): number {
  try {
    return openSync(path, constants.O_RDWR);
  } catch (cause) {
    throw new SystemError('ECONNRESET', {
      message: 'the memory of the simulated host is out of reach',
      cause,
    });
  }
}

/** Memory of a client whose addresses the simulated host knows. @throws SystemError ENOMEM, EOPNOTSUPP. */
export async function simulatedMemory(
  connection: Connection,
  bytes: number,
): Promise<MappedMemory> {
  const { values } = await connection.call('memoryMake', { bytes });
  const [address, length] = [Number(values.address), Number(values.length)];
  const memory = await mapFile(String(values.path), { offset: 0, length });
  return {
    length,
    address: BigInt(address),
    view: (offset, count) => memory.view(offset, count),
    async release() {
      memory.release();
      await connection.call('memoryRelease', { address });
    },
  };
}
