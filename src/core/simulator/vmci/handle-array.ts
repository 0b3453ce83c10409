/** A bounded set of handles that keeps its order until one is removed. Source: drivers/misc/vmw_vmci/vmci_handle_array.c. */
import { handleText } from '../../abi/vmci.js';
import { VMCI_RESULT } from '../../abi/vmci-errors.js';
import type { Handle } from './parts.js';

export class HandleArray {
  readonly #limit: number;
  readonly #handles: Handle[] = [];
  readonly #places = new Map<string, number>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#handles.length;
  }

  get handles(): readonly Handle[] {
    return this.#handles;
  }

  has(handle: Handle): boolean {
    return this.#places.has(handleText(handle));
  }

  /** NO_MEM when it is full. Not for one that is in it. */
  append({ context, resource }: Handle): number {
    if (this.#handles.length >= this.#limit) return VMCI_RESULT.VMCI_ERROR_NO_MEM;
    this.#places.set(handleText({ context, resource }), this.#handles.length);
    this.#handles.push({ context, resource });
    return VMCI_RESULT.VMCI_SUCCESS;
  }

  /** The last one takes the place of the one that leaves. False when it is not in it. */
  remove(handle: Handle): boolean {
    const place = this.#places.get(handleText(handle));
    if (place === undefined) return false;
    this.#places.delete(handleText(handle));
    const last = this.#handles.pop();
    if (last === undefined || place === this.#handles.length) return true;
    this.#handles[place] = last;
    this.#places.set(handleText(last), place);
    return true;
  }

  clear(): void {
    this.#handles.length = 0;
    this.#places.clear();
  }
}
