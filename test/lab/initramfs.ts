/** Writes an initramfs: a cpio archive in the format "newc", as the kernel's `buffer-format.rst` describes it. */
import { gzipSync } from 'node:zlib';

const MAGIC = '070701';
const TRAILER = 'TRAILER!!!';
const DIRECTORY = 0o040755;
const PROGRAM = 0o100755;

/** A file of an initramfs, or a directory when it has no content. Directories come before what they hold. */
export interface Entry {
  path: string;
  content?: Uint8Array | string;
}

export function initramfs(entries: readonly Entry[]): Buffer {
  const parts = entries.map(({ path, content }, n) =>
    content === undefined
      ? member(n + 1, path, DIRECTORY)
      : member(n + 1, path, PROGRAM, Buffer.from(content)),
  );
  return gzipSync(Buffer.concat([...parts, member(0, TRAILER, 0)]), { level: 1 });
}

function member(inode: number, path: string, mode: number, content = Buffer.alloc(0)): Buffer {
  const name = Buffer.from(`${path}\0`);
  const [uid, gid, links, mtime, device, checksum] = [0, 0, 1, 0, 0, 0];
  const numbers = [
    ...[inode, mode, uid, gid, links, mtime, content.length],
    ...[device, device, device, device, name.length, checksum],
  ];
  const header = MAGIC + numbers.map((number) => number.toString(16).padStart(8, '0')).join('');
  return Buffer.concat([padded(Buffer.concat([Buffer.from(header), name])), padded(content)]);
}

/** Names and contents end at a multiple of four. */
function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}
