/** What is offered of a VM to programs that know nothing of vmmctl, besides its hybrid vsock socket. */
import type { Keeper } from '../daemon/keeper.js';
import type { Domain } from '../simulator/domain.js';

export const EXPORT_KINDS = ['vhost-user-vsock', 'vhost-user-balloon', 'cuse'] as const;

export type ExportKind = (typeof EXPORT_KINDS)[number];

export interface Export {
  readonly kind: ExportKind;
  /** Sockets and nodes by which it is used. */
  readonly paths: readonly string[];
  /** What has passed it, for `inspect`. */
  counters?(): Record<string, number>;
  /** Whether a hypervisor uses it now, where only one can. */
  isTaken?(): boolean;
  /** Nobody can use it any more; who does is told as when a device is taken away. */
  close(): void;
}

/** Begins to offer something. @throws SystemError why it can't: ENOENT, EACCES, EBUSY, EOPNOTSUPP, ... */
export type ExportMaker = (keeper: Keeper, domain: Domain) => Promise<Export>;

/** The same for the host's own nodes. */
export type HostExportMaker = (keeper: Keeper) => Promise<Export>;
