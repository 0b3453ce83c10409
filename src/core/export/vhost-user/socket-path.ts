/** Where the socket of an exported device is. */
import { join } from 'node:path';
import { SystemError } from '../../abi/errno.js';
import { MAX_SOCKET_PATH } from '../../daemon/paths.js';
import type { Domain } from '../../simulator/domain.js';
import { isPlainName } from '../plain-name.js';

const SUFFIXES = {
  'vhost-user-vsock': 'vhost-vsock',
  'vhost-user-balloon': 'vhost-balloon',
} as const;

export type DeviceKind = keyof typeof SUFFIXES;
export const DEVICE_KINDS = Object.keys(SUFFIXES) as readonly DeviceKind[];

/**
 * `NAME.vhost-vsock` and the like, or `cid-N.vhost-vsock` for a name that can't be a file's or has no room in a socket's
 * path.
 * @throws SystemError ENAMETOOLONG when neither has room.
 */
export function socketPath(directory: string, { vm, guest }: Domain, kind: DeviceKind): string {
  const names = isPlainName(vm.name) ? [vm.name] : [];
  if (guest.cid !== undefined) names.push(`cid-${guest.cid}`);
  const paths = names.map((name) => join(directory, `${name}.${SUFFIXES[kind]}`));
  const path = paths.find((each) => Buffer.byteLength(each) <= MAX_SOCKET_PATH);
  if (path !== undefined) return path;
  throw new SystemError('ENAMETOOLONG', {
    message: `a socket's path has ${MAX_SOCKET_PATH} bytes at most`,
    hint: 'set XDG_RUNTIME_DIR to a shorter directory',
  });
}
