/** Doorbells of a kernel, with callbacks. Source: Linux drivers/misc/vmw_vmci/vmci_doorbell.c. */
import {
  VMCI_FLAG_DELAYED_CB,
  VMCI_HOST_CONTEXT_ID,
  VMCI_INVALID_ID,
  VMCI_PRIVILEGE_ALL_FLAGS,
} from '../../abi/vmci.js';
import { VMCI_RESULT } from '../../abi/vmci-errors.js';
import { NotifyBitmap } from './bitmap.js';
import type { Handle } from './parts.js';
import type { Resources } from './resources.js';
import type { Work } from './work.js';

export interface Doorbell {
  readonly handle: Handle;
  readonly privileges: number;
  readonly delayed: boolean;
  readonly ring: () => void;
  /** It has not been destroyed. */
  alive: boolean;
  /** In the bitmap; undefined without a device. */
  index: number | undefined;
}

/** What a guest's device does for its doorbells. Results are those of the hypercalls. */
export interface DoorbellDevice {
  link(handle: Handle, index: number): number;
  unlink(handle: Handle): number;
}

export class Doorbells {
  /** Of a kernel with a device. */
  readonly bitmap = new NotifyBitmap<Doorbell>();
  readonly #resources: Resources;
  readonly #work: Work;

  constructor(resources: Resources, work: Work) {
    this.#resources = resources;
    this.#work = work;
  }

  /**
   * vmci_doorbell_create.
   * @param own the kernel's context and its device.
   * @param wanted undefined for a handle that is chosen; else one of the host's context or of the own one.
   * @returns INVALID_ARGS, NO_RESOURCES (no context), ALREADY_EXISTS, NO_HANDLE, or what the device says.
   */
  create(
    own: { cid: number; device: DoorbellDevice | undefined },
    wanted: Handle | undefined,
    options: Pick<Doorbell, 'privileges' | 'ring'> & { flags: number },
  ): Handle | number {
    const { flags, privileges, ring } = options;
    const unknown =
      (flags & ~VMCI_FLAG_DELAYED_CB) !== 0 || (privileges & ~VMCI_PRIVILEGE_ALL_FLAGS) !== 0;
    if (unknown) return VMCI_RESULT.VMCI_ERROR_INVALID_ARGS;
    if (wanted !== undefined && !mayHave(own, wanted)) return VMCI_RESULT.VMCI_ERROR_INVALID_ARGS;
    if (wanted === undefined && own.cid === VMCI_INVALID_ID) {
      return VMCI_RESULT.VMCI_ERROR_NO_RESOURCES;
    }
    const place = wanted ?? { context: own.cid, resource: VMCI_INVALID_ID };
    const delayed = (flags & VMCI_FLAG_DELAYED_CB) !== 0;
    const handle = this.#resources.add('doorbell', place, (handle): Doorbell => {
      return { handle, privileges, delayed, ring, alive: true, index: undefined };
    });
    if (handle === VMCI_RESULT.VMCI_ERROR_DUPLICATE_ENTRY) {
      return VMCI_RESULT.VMCI_ERROR_ALREADY_EXISTS;
    }
    const doorbell = typeof handle === 'number' ? undefined : this.find(handle);
    if (doorbell === undefined || own.device === undefined) return handle;
    return this.#link(doorbell, own.device);
  }

  /** vmci_doorbell_destroy: INVALID_ARGS, NOT_FOUND. A ring that was put off is lost. */
  destroy(device: DoorbellDevice | undefined, handle: Handle): number {
    const { context, resource } = handle;
    if (context === VMCI_INVALID_ID && resource === VMCI_INVALID_ID) {
      return VMCI_RESULT.VMCI_ERROR_INVALID_ARGS;
    }
    const doorbell = this.find(handle);
    if (doorbell === undefined) return VMCI_RESULT.VMCI_ERROR_NOT_FOUND;
    this.#forget(doorbell);
    // A host that does not know it any more has nothing to undo.
    device?.unlink(doorbell.handle);
    return VMCI_RESULT.VMCI_SUCCESS;
  }

  find(handle: Handle): Doorbell | undefined {
    return this.#resources.get('doorbell', handle) as Doorbell | undefined;
  }

  ring(doorbell: Doorbell): void {
    if (!doorbell.delayed) doorbell.ring();
    else {
      this.#work.add(() => {
        if (doorbell.alive) doorbell.ring();
      });
    }
  }

  /** vmci_dbell_scan_notification_entries. */
  scan(): void {
    for (const doorbell of this.bitmap.take()) this.ring(doorbell);
  }

  #link(doorbell: Doorbell, device: DoorbellDevice): Handle | number {
    doorbell.index = this.bitmap.add(doorbell);
    const result = device.link(doorbell.handle, doorbell.index);
    if (result === VMCI_RESULT.VMCI_SUCCESS) return doorbell.handle;
    this.#forget(doorbell);
    return result;
  }

  #forget(doorbell: Doorbell): void {
    doorbell.alive = false;
    if (doorbell.index !== undefined) this.bitmap.remove(doorbell, doorbell.index);
    this.#resources.remove('doorbell', doorbell.handle);
  }
}

/** Any kernel may have doorbells of the host's context. */
function mayHave({ cid }: { cid: number }, { context, resource }: Handle): boolean {
  if (resource === VMCI_INVALID_ID) return false;
  return context === VMCI_HOST_CONTEXT_ID || context === cid;
}
