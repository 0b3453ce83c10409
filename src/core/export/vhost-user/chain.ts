/** Chains of descriptors, as the driver wrote them (virtio 1.2, section 2.7.4 to 2.7.8). */
import {
  VRING_DESC_F_INDIRECT,
  VRING_DESC_F_NEXT,
  VRING_DESC_F_WRITE,
  vring_desc,
} from '../../abi/virtio-ring.js';
import { copyOut, type Piece } from './byte-parts.js';
import type { GuestMemory } from './memory.js';
import { RingError } from './ring.js';

/** Descriptors of one indirect table. A driver needs no more than the queue has; QEMU takes as many from any. */
export const MAX_INDIRECT = 1024;

const AT = {
  addr: vring_desc.offset('addr'),
  len: vring_desc.offset('len'),
  flags: vring_desc.offset('flags'),
  next: vring_desc.offset('next'),
};
const WORD = 2 ** 32;

interface Descriptor {
  readonly addr: number;
  readonly len: number;
  readonly flags: number;
  readonly next: number;
}

/** The buffers of one chain while it is read. */
class Buffers {
  readonly readable: Piece[] = [];
  readonly writable: Piece[] = [];

  /** @throws RingError */
  add({ addr, len, flags }: Descriptor, memory: GuestMemory): void {
    const write = (flags & VRING_DESC_F_WRITE) !== 0;
    if (!write && this.writable.length > 0) {
      throw new RingError('a buffer to read comes after one to write');
    }
    if (!memory.collect(addr, len, write ? this.writable : this.readable)) {
      throw new RingError(
        `a buffer of ${len} bytes at 0x${addr.toString(16)} is outside of memory`,
      );
    }
  }
}

/** Reads the chain that begins at `head`. @throws RingError */
export function readChain(
  table: DataView,
  head: number,
  memory: GuestMemory,
  indirect: boolean,
): { readable: Piece[]; writable: Piece[] } {
  const buffers = new Buffers();
  const last = walk(table, head, (descriptor) => {
    if (descriptor.flags & VRING_DESC_F_INDIRECT) return false;
    buffers.add(descriptor, memory);
    return true;
  });
  if (last === undefined) return buffers;
  if (!indirect) throw new RingError('an indirect table, which was not agreed to');
  if (last.flags & VRING_DESC_F_NEXT) throw new RingError('an indirect table with a next one');
  walk(readTable(last, memory), 0, (descriptor) => {
    if (descriptor.flags & VRING_DESC_F_INDIRECT) throw new RingError('a table within a table');
    buffers.add(descriptor, memory);
    return true;
  });
  return buffers;
}

/** Visits each descriptor of a chain, until one is not taken; that one is the result. @throws RingError */
function walk(
  table: DataView,
  head: number,
  visit: (descriptor: Descriptor) => boolean,
): Descriptor | undefined {
  const size = table.byteLength / vring_desc.size;
  let index = head;
  for (let count = 0; count < size; count++) {
    if (index >= size) throw new RingError(`descriptor ${index} of ${size}`);
    const descriptor = read(table, index);
    if (!visit(descriptor)) return descriptor;
    if ((descriptor.flags & VRING_DESC_F_NEXT) === 0) return undefined;
    index = descriptor.next;
  }
  throw new RingError(`a chain of more than ${size} descriptors`);
}

/** A copy: what the driver changes from now on does not matter. */
function read(table: DataView, index: number): Descriptor {
  const at = index * vring_desc.size;
  const low = table.getUint32(at + AT.addr, true);
  const high = table.getUint32(at + AT.addr + 4, true);
  return {
    addr: low + high * WORD,
    len: table.getUint32(at + AT.len, true),
    flags: table.getUint16(at + AT.flags, true),
    next: table.getUint16(at + AT.next, true),
  };
}

/** The table that a descriptor points to, copied; it may cross regions. @throws RingError */
function readTable({ addr, len }: Descriptor, memory: GuestMemory): DataView {
  if (len === 0 || len % vring_desc.size !== 0 || len > MAX_INDIRECT * vring_desc.size) {
    throw new RingError(`an indirect table of ${len} bytes`);
  }
  const pieces: Piece[] = [];
  if (!memory.collect(addr, len, pieces)) {
    throw new RingError(`an indirect table at 0x${addr.toString(16)} is outside of memory`);
  }
  return new DataView(copyOut(pieces, 0, len).buffer);
}
