/** A chunk of the balloon: 256 pages, each taken on its own, and kept in as little memory as can be. */
import { VMMDEV_MEMORY_BALLOON_CHUNK_PAGES } from '../../../abi/vmmdev-memory.js';
import type { GuestPages } from '../platform.js';

const PAGE_SIZE = 4096;

/** The address of the first page where one follows the other, else the numbers of all pages. */
export type Chunk = number | Uint32Array;

/** Takes the pages of one chunk; undefined when there are not enough. */
export function takeChunk(pages: GuestPages): Chunk | undefined {
  const addresses: number[] = [];
  while (addresses.length < VMMDEV_MEMORY_BALLOON_CHUNK_PAGES) {
    const address = pages.allocatePage();
    if (address === undefined) {
      for (const taken of addresses) pages.releasePage(taken);
      return undefined;
    }
    addresses.push(address);
  }
  return pack(addresses.sort((a, b) => a - b));
}

export function releaseChunk(pages: GuestPages, chunk: Chunk): void {
  for (const address of chunkPages(chunk)) pages.releasePage(address);
}

/** The physical addresses of a chunk's pages. */
export function chunkPages(chunk: Chunk): number[] {
  if (typeof chunk === 'object') return Array.from(chunk, (frame) => frame * PAGE_SIZE);
  const count = VMMDEV_MEMORY_BALLOON_CHUNK_PAGES;
  return Array.from({ length: count }, (_, index) => chunk + index * PAGE_SIZE);
}

/** Of addresses in their order. */
function pack(addresses: readonly number[]): Chunk {
  const [first = 0] = addresses;
  const inARow = addresses.every((address, index) => address === first + index * PAGE_SIZE);
  return inARow ? first : Uint32Array.from(addresses, (address) => address / PAGE_SIZE);
}
