/** Words that the VMCI commands share: handles, resources, and which end the caller is. */
import { UsageError } from '../../cli/errors.js';
import { flag, option } from '../../cli/flags.js';
import { parseInteger } from '../../cli/parse.js';
import { VMCI_INVALID_ID, type VmciHandleValue } from '../../core/abi/vmci.js';
import type { Backend } from '../../core/backend/port.js';
import { resolveCid } from '../../core/client/vsock.js';
import { withNearNames } from '../vm-name.js';
import { peerCid } from '../vsock/words.js';

/** A handle whose context may be a VM's name. */
export interface HandleWord {
  readonly cid: string;
  readonly resource: number;
}

/** How handles begin that everybody has, for completion. */
export const HANDLE_WORDS: readonly string[] = ['host:'];

const HANDLE_FORMS = "a handle is CID:RID; the CID is a number, a VM's name or host";

/** `CID:RID`. @throws UsageError */
export function handleWord(text: string): HandleWord {
  const [cid = '', resource, ...others] = text.split(':');
  if (resource === undefined || others.length > 0) {
    throw new UsageError(`'${text}' is not a handle`, HANDLE_FORMS);
  }
  return { cid: peerCid(cid), resource: resourceId(resource) };
}

/** The number of a resource. @throws UsageError */
export function resourceId(text: string): number {
  return parseInteger(0, VMCI_INVALID_ID - 1)(text);
}

/** The number of a context. @throws UsageError */
export function contextId(text: string): number {
  return parseInteger(0, VMCI_INVALID_ID - 1)(text);
}

/** @throws SystemError ENOENT for a name that no VM has. */
export async function resolveHandle(
  backend: Backend,
  { cid, resource }: HandleWord,
): Promise<VmciHandleValue> {
  try {
    return { context: await resolveCid(backend, cid), resource };
  } catch (error) {
    throw await withNearNames(error, backend, cid);
  }
}

/** Which end of VMCI the caller is, where it has the choice. */
export const END_FLAGS = {
  node: flag({ summary: 'act as a program on /dev/vmci, and not as the kernel' }),
  context: option({
    summary: 'as --node, with that context if it is free',
    helpValue: 'CID',
    convert: contextId,
  }),
} as const;
