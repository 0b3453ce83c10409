/** Which resources a kernel has. Source: Linux drivers/misc/vmw_vmci/vmci_resource.c; FreeBSD sys/dev/vmware/vmci/vmci_resource.c. */
import { VMCI_INVALID_ID, VMCI_RESERVED_RESOURCE_ID_MAX } from '../../abi/vmci.js';
import { VMCI_RESULT } from '../../abi/vmci-errors.js';
import type { Handle } from './parts.js';
import type { KernelProfile } from './profile.js';

export type ResourceType = 'datagram' | 'doorbell' | 'qpair-host' | 'qpair-guest';

interface Entry {
  readonly handle: Handle;
  readonly type: ResourceType;
  readonly value: unknown;
}

const FIRST_CHOSEN = VMCI_RESERVED_RESOURCE_ID_MAX + 1;

/** In what drivers differ here. */
type Naming = Pick<KernelProfile, 'oneNameSpace' | 'lowestPairFirst'>;

export class Resources {
  /** As FreeBSD has it: datagrams and doorbells share their names, and only what is stored may be for any context. */
  readonly #oneNameSpace: boolean;
  readonly #lowestPairFirst: boolean;
  /** By resource number. */
  readonly #entries = new Map<number, Entry[]>();
  #next = FIRST_CHOSEN;

  constructor({ oneNameSpace, lowestPairFirst }: Naming) {
    this.#oneNameSpace = oneNameSpace;
    this.#lowestPairFirst = lowestPairFirst;
  }

  /**
   * @param wanted with a resource of VMCI_INVALID_ID for one that is chosen.
   * @param make what it stands for.
   * @returns the handle, or NO_HANDLE (no number is free), ALREADY_EXISTS, DUPLICATE_ENTRY (FreeBSD).
   */
  add(type: ResourceType, wanted: Handle, make: (handle: Handle) => unknown): Handle | number {
    const { context } = wanted;
    const chosen = wanted.resource === VMCI_INVALID_ID;
    const resource = chosen ? this.#choose(type, context) : wanted.resource;
    if (resource === VMCI_INVALID_ID) return VMCI_RESULT.VMCI_ERROR_NO_HANDLE;
    const handle = { context, resource };
    if (!chosen && this.#find(type, handle) !== undefined) {
      const { VMCI_ERROR_DUPLICATE_ENTRY, VMCI_ERROR_ALREADY_EXISTS } = VMCI_RESULT;
      return this.#oneNameSpace ? VMCI_ERROR_DUPLICATE_ENTRY : VMCI_ERROR_ALREADY_EXISTS;
    }
    const row = this.#entries.get(resource) ?? [];
    this.#entries.set(resource, row);
    row.push({ handle, type, value: make(handle) });
    return handle;
  }

  /** What a handle stands for; any context does on either side that has VMCI_INVALID_ID. */
  get(type: ResourceType, handle: Handle): unknown {
    return this.#find(type, handle)?.value;
  }

  /**
   * False when there is none. Linux takes the first of any type that has the handle, and goes on using freed memory;
   * here it is the one that is meant.
   */
  remove(type: ResourceType, handle: Handle): boolean {
    const row = this.#entries.get(handle.resource) ?? [];
    const entry = this.#find(type, handle);
    if (entry === undefined) return false;
    row.splice(row.indexOf(entry), 1);
    if (row.length === 0) this.#entries.delete(handle.resource);
    return true;
  }

  #find(type: ResourceType, handle: Handle): Entry | undefined {
    const row = this.#entries.get(handle.resource) ?? [];
    return row.find((entry) => {
      const anyContext =
        entry.handle.context === VMCI_INVALID_ID ||
        (handle.context === VMCI_INVALID_ID && !this.#oneNameSpace);
      if (!anyContext && entry.handle.context !== handle.context) return false;
      return entry.type === type || (this.#oneNameSpace && !isPair(type) && !isPair(entry.type));
    });
  }

  #choose(type: ResourceType, context: number): number {
    if (this.#lowestPairFirst && isPair(type)) return this.#free(FIRST_CHOSEN, type, context);
    const resource = this.#free(this.#next, type, context);
    if (resource !== VMCI_INVALID_ID) this.#next = following(resource);
    return resource;
  }

  /** The first number from `start` on, in a circle, that nobody has. */
  #free(start: number, type: ResourceType, context: number): number {
    let resource = start;
    do {
      if (this.#find(type, { context, resource }) === undefined) return resource;
      resource = following(resource);
    } while (resource !== start);
    return VMCI_INVALID_ID;
  }
}

function following(resource: number): number {
  return resource + 1 === VMCI_INVALID_ID ? FIRST_CHOSEN : resource + 1;
}

function isPair(type: ResourceType): boolean {
  return type === 'qpair-host' || type === 'qpair-guest';
}
