/** Chunks of the balloon: their pages, and how little is kept of them. */
import t from 'tap';
import {
  chunkPages,
  releaseChunk,
  takeChunk,
} from '../../../../../src/core/simulator/vbox/driver/chunk.js';
import { GuestMemory } from '../../../../../src/core/simulator/vbox/guest-memory.js';

const MIB = 1024 * 1024;

t.test('256 pages that are neighbours are kept as one number', async (t) => {
  const pages = new GuestMemory({ size: () => 64 * MIB });
  const { free } = pages;
  const chunk = takeChunk(pages);
  if (chunk === undefined) throw new Error('there is memory enough');
  t.type(chunk, 'number');
  const addresses = chunkPages(chunk);
  t.equal(new Set(addresses).size, 256);
  t.equal(pages.free, free - MIB);
  releaseChunk(pages, chunk);
  t.equal(pages.free, free);
});

t.test('pages that are scattered are kept each', async (t) => {
  const pages = new GuestMemory({ size: () => 64 * MIB });
  const holes = Array.from({ length: 300 }, () => pages.allocatePage() ?? 0);
  for (const address of holes.filter((_, index) => index % 2 === 0)) pages.releasePage(address);
  const { free } = pages;
  const chunk = takeChunk(pages);
  if (chunk === undefined) throw new Error('there is memory enough');
  t.type(chunk, Uint32Array);
  t.equal(new Set(chunkPages(chunk)).size, 256);
  releaseChunk(pages, chunk);
  t.equal(pages.free, free);
});

t.test('pages above 4 GiB keep their addresses', async (t) => {
  const pages = new GuestMemory({ size: () => 2 ** 40 });
  const hole = pages.allocatePage() ?? 0;
  const between = pages.allocatePage() ?? 0;
  pages.releasePage(hole);
  const chunk = takeChunk(pages);
  if (chunk === undefined) throw new Error('there is memory enough');
  const addresses = chunkPages(chunk);
  t.ok(addresses.includes(hole));
  t.notOk(addresses.includes(between));
  t.ok(addresses.every((address) => address > 2 ** 39 && address < 2 ** 40));
});

t.test('too few pages are no chunk, and all are given back', async (t) => {
  const pages = new GuestMemory({ size: () => 2 * MIB, reserved: () => 0 });
  t.not(takeChunk(pages), undefined);
  t.equal(takeChunk(pages), undefined);
  t.equal(pages.free, 0);
  const small = new GuestMemory({ size: () => 2 * MIB - 4096, reserved: () => 0 });
  const { free } = small;
  t.equal(takeChunk(small), undefined);
  t.equal(small.free, free);
});
