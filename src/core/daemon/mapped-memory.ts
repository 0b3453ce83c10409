/** Memory that a client has mapped together with the daemon, at addresses which its ioctls may have in their arguments. */
import { SystemError } from '../abi/errno.js';
import { PartOfMemory } from '../abi/vmci-memory.js';
import { type QueueMemory, VMCI_PAGE_SIZE } from '../abi/vmci-queue.js';
import { integer } from './parameters.js';
import type { CallTable, Session } from './session.js';
import { type SharedFile, sharedFiles } from './shared-files.js';

/** What one client may have: bytes, and pieces. */
const MAX_BYTES = 2 ** 30;
const MAX_PIECES = 256;
/** Where the first piece lies: beyond what is sent along with an ioctl. */
const FIRST_ADDRESS = 2 ** 44;

interface Piece {
  readonly address: number;
  readonly file: SharedFile;
}

/** The pieces of one client. */
export class MappedPieces {
  #pieces: Piece[] = [];
  #next = FIRST_ADDRESS;

  /** @throws SystemError ENOMEM for too many pieces, and for more than a client may have. */
  checkRoom(bytes: number): void {
    const total = this.#pieces.reduce((sum, { file }) => sum + file.memory.length, bytes);
    if (total <= MAX_BYTES && this.#pieces.length < MAX_PIECES) return;
    throw new SystemError('ENOMEM', { syscall: 'mmap' });
  }

  /** The address that it has from now on. A hole follows, so that who reads too far fails. */
  add(file: SharedFile): number {
    const address = this.#next;
    this.#next += file.memory.length + VMCI_PAGE_SIZE;
    this.#pieces.push({ address, file });
    return address;
  }

  /** @throws SystemError EINVAL when nothing begins there. */
  remove(address: number): void {
    const piece = this.#pieces.find((each) => each.address === address);
    if (piece === undefined) throw new SystemError('EINVAL', { syscall: 'munmap' });
    this.#pieces = this.#pieces.filter((each) => each !== piece);
    piece.file.release();
  }

  /** The memory of a range of addresses; undefined when it is not inside of a piece. */
  find(address: bigint, length: number): QueueMemory | undefined {
    const at = Number(address);
    const piece = this.#pieces.find((each) => {
      return at >= each.address && at + length <= each.address + each.file.memory.length;
    });
    return piece && new PartOfMemory(piece.file.memory, at - piece.address, length);
  }

  clear(): void {
    for (const { file } of this.#pieces.splice(0)) file.release();
  }
}

const pieces = new WeakMap<Session, MappedPieces>();

/** What a client has mapped. */
export function mappedBy(session: Session): MappedPieces {
  const known = pieces.get(session);
  if (known !== undefined) return known;
  const mapped = new MappedPieces();
  pieces.set(session, mapped);
  session.onEnd(() => mapped.clear());
  return mapped;
}

export const MEMORY_CALLS: CallTable = {
  async memoryMake({ session, parameters, signal }) {
    const bytes = Math.ceil(integer(parameters, 'bytes', MAX_BYTES) / VMCI_PAGE_SIZE);
    const length = Math.max(1, bytes) * VMCI_PAGE_SIZE;
    const make = await sharedFiles();
    if (signal.aborted) throw new SystemError('EINTR');
    const mapped = mappedBy(session);
    mapped.checkRoom(length);
    const file = make(length);
    return { path: file.path, length, address: mapped.add(file) };
  },

  memoryRelease({ session, parameters }) {
    mappedBy(session).remove(integer(parameters, 'address', Number.MAX_SAFE_INTEGER));
    return {};
  },
};
