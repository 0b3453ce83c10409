/** The directory of one guest that is booted, in the runtime directory of its host: what the guest reads and says. */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type GuestFile, guestStatus, inGuest } from '../../core/client/boot/guest-files.js';

/** Six characters of chance follow. */
const PREFIX = 'boot-';

/** What a directory would be called, for who only wants to see it. */
export function exampleDirectory(runtime: string): string {
  return join(runtime, `${PREFIX}XXXXXX`);
}

/** Makes one that is ours alone. */
export function makeDirectory(runtime: string): string {
  return mkdtempSync(join(runtime, PREFIX));
}

/** To be called when no program of the guest is left. */
export function removeDirectory(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
}

/** @param modules a directory with the modules of the guest's kernel, below its release. */
export function writeGuestFiles(
  directory: string,
  files: readonly GuestFile[],
  modules: string | undefined,
): void {
  const share = join(directory, 'share');
  mkdirSync(join(share, 'lib'), { recursive: true });
  for (const { name, text, executable } of files) {
    writeFileSync(join(share, name), text, { mode: executable ? 0o755 : 0o644 });
  }
  if (modules !== undefined) {
    symlinkSync(inGuest(realpathSync(modules)), join(share, 'lib', 'modules'));
  }
}

/** How the guest's command has ended; undefined when it has not. */
export function statusIn(directory: string): number | undefined {
  return guestStatus(readdirSync(join(directory, 'share')));
}
