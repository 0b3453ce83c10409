/** Memory of this process whose addresses stand in ioctls' arguments. */
import { SharedMemories } from '../../native/shared-memory.js';
import type { MappedMemory } from '../port/node.js';
import { native, systemError } from './errors.js';

const PAGE = 4096;

/** Zeros in whole pages, which drivers can pin. @throws SystemError ENOMEM, EOPNOTSUPP without system calls. */
export async function deviceMemory(bytes: number): Promise<MappedMemory> {
  const system = await native(SharedMemories.load());
  const memory = system.anonymous(Math.max(1, Math.ceil(bytes / PAGE)) * PAGE);
  if (typeof memory === 'number') throw systemError(-memory, { syscall: 'mmap' });
  return {
    length: memory.length,
    address: memory.address(0),
    view: (offset, length) => memory.view(offset, length),
    release: async () => memory.release(),
  };
}
