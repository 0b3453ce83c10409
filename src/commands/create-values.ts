/** Values of the flags of `vmmctl create`. */
import { CodeError, UsageError } from '../cli/errors.js';
import { parseSize } from '../cli/parse.js';
import type { VsockTransport } from '../core/backend/port/vsock.js';
import type { Backend } from '../core/backend/port.js';

const PAGE_SIZE = 4096;

/** @throws UsageError unless it is a transport of vsock. */
export function parseTransport(text: string): VsockTransport {
  if (text === 'virtio' || text === 'vmci') return text;
  throw new UsageError(`'${text}' is not a transport of vsock`, 'use virtio or vmci');
}

/** @throws CodeError EOPNOTSUPP on a backend whose VMs have no vsock of its own to choose. */
export function checkTransport({ management, uri }: Backend): void {
  if (management) return;
  const message = `the backend '${uri}' has no vsock for VMs`;
  throw new CodeError(
    'EOPNOTSUPP',
    message,
    'leave --vsock-transport out, or use the simulated host: --backend sim',
  );
}

/** Bytes of a VM's memory. @throws UsageError unless a multiple of the page size, and more than none. */
export function parseMemory(text: string): number {
  const size = parseSize(text);
  if (size > 0 && size % PAGE_SIZE === 0) return size;
  throw new UsageError(
    `'${text}' is not a size of memory`,
    `memory is a multiple of ${PAGE_SIZE} bytes, and more than none`,
  );
}
