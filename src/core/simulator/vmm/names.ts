/**
 * Names of VMs and of their nodes. The VM's own rules follow vmmctl_ioctl() in
 * sys/dev/vmm/vmm_dev.c, those of nodes prep_devname() and devfs_pathpath() in sys/kern/kern_conf.c
 * and sys/fs/devfs.
 */
import { SystemError } from '../../abi/errno.js';
import { decodeName, encodeName, SPECNAMELEN, VM_MAX_NAMELEN } from '../../abi/vmmctl.js';
import type { VmmProfile } from './config.js';

/** isspace() in the kernel, and the quote: both would break the protocol of devctl(4). */
const FORBIDDEN = /[\t-\r "]/;

/**
 * The name in an argument of /dev/vmmctl, and the bytes as the kernel leaves them there.
 * @throws SystemError EINVAL in the draft when no byte is a terminator; what landed cuts the name
 * instead.
 */
export function takeName(
  field: Uint8Array,
  profile: VmmProfile,
): { name: string; field: Uint8Array } {
  if (profile === 'draft') {
    if (!field.includes(0)) {
      throw new SystemError('EINVAL', { message: 'the name has no terminator' });
    }
    return { name: decodeName(field), field };
  }
  const terminated = field.slice();
  terminated[terminated.length - 1] = 0;
  return { name: decodeName(terminated), field: terminated };
}

/** @throws SystemError EINVAL for a name of more than VM_MAX_NAMELEN bytes. */
export function checkNameLength(name: string): void {
  if (encodeName(name).length > VM_MAX_NAMELEN) {
    throw new SystemError('EINVAL', {
      message: `a VM's name has at most ${VM_MAX_NAMELEN} bytes`,
    });
  }
}

/** The path below /dev of a VM's node. @throws SystemError as `devfsPath`. */
export function vmPath(name: string): string {
  return devfsPath(`vmm/${name}`);
}

/** The path below /dev of a named memory segment's node. @throws SystemError as `devfsPath`. */
export function memsegPath(name: string, segment: string): string {
  return devfsPath(`vmm.io/${name}.${segment}`);
}

/** A path with repeated slashes as one, as both devfs and a path's lookup take it. */
export function collapseSlashes(path: string): string {
  return path.replace(/^\/+/, '').replace(/\/{2,}/g, '/');
}

/**
 * The path below /dev that a node gets.
 * @throws SystemError ENAMETOOLONG above 255 bytes; EINVAL for white space, a quote, an empty path,
 * a slash at the end, or a component `.` or `..`.
 */
export function devfsPath(path: string): string {
  if (encodeName(path).length > SPECNAMELEN) throw new SystemError('ENAMETOOLONG');
  if (FORBIDDEN.test(path)) {
    throw new SystemError('EINVAL', { message: 'a name has no white space and no quotes' });
  }
  const collapsed = collapseSlashes(path);
  if (collapsed === '' || collapsed.endsWith('/')) {
    throw new SystemError('EINVAL', { message: 'a name is not empty and ends in no slash' });
  }
  if (collapsed.split('/').some((part) => part === '.' || part === '..')) {
    throw new SystemError('EINVAL', { message: 'a name has no component . or ..' });
  }
  return collapsed;
}

/** The paths in use below /dev: none is the same as another, or a directory that another is in. */
export class DevfsPaths {
  readonly #nodes = new Set<string>();
  /** How many nodes are below each directory. */
  readonly #directories = new Map<string, number>();

  /** @throws SystemError EEXIST when the path, a directory above it or one below it is a node's. */
  add(path: string): void {
    const above = ancestors(path);
    const taken = this.#nodes.has(path) || this.#directories.has(path);
    if (taken || above.some((directory) => this.#nodes.has(directory))) {
      throw new SystemError('EEXIST', { message: `/dev/${path} is in the way of a node` });
    }
    this.#nodes.add(path);
    for (const directory of above) {
      this.#directories.set(directory, (this.#directories.get(directory) ?? 0) + 1);
    }
  }

  remove(path: string): void {
    if (!this.#nodes.delete(path)) return;
    for (const directory of ancestors(path)) {
      const left = (this.#directories.get(directory) ?? 0) - 1;
      if (left > 0) this.#directories.set(directory, left);
      else this.#directories.delete(directory);
    }
  }

  get size(): number {
    return this.#nodes.size;
  }
}

function ancestors(path: string): string[] {
  const parts = path.split('/');
  return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join('/'));
}
