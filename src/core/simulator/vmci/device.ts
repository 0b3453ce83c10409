/**
 * The VMCI device of a VM, on the host's side: what its guest sends goes to the host's kernel in the name of the VM's
 * context, and what waits in that context comes to the guest. The guest's side is guest-link.ts.
 */
import {
  VMCI_DEFAULT_PROC_PRIVILEGE_FLAGS,
  VMCI_HYPERVISOR_CONTEXT_ID,
  VMCI_VERSION,
} from '../../abi/vmci.js';
import { decodeDatagram, VMCI_MAX_DG_SIZE } from '../../abi/vmci-datagram.js';
import { VMCI_RESULT } from '../../abi/vmci-errors.js';
import { VMCI_EVENT_CTX_ID_UPDATE, VMCI_EVENT_QP_RESUMED } from '../../abi/vmci-event.js';
import { ROOT } from '../node.js';
import type { VmciContext } from './context.js';
import type { Contexts } from './contexts.js';
import type { DevicePorts } from './guest-link.js';
import { HYPERCALLS, type HypercallDevice } from './hypercalls.js';
import { GuestPages } from './pages.js';
import type { Datagram, Handle, QueuePairRecord } from './parts.js';
import type { QueuePairs } from './queue-pairs.js';
import { BrokerDevice } from './queue-pairs-guest.js';
import type { Work } from './work.js';

/** The guest's driver, as the device interrupts it. */
export interface DeviceDriver {
  /** A datagram or event has come. */
  datagram(datagram: Datagram): number;
  /** The bitmap says which doorbells were rung. */
  notification(): void;
}

/** The host's kernel, as the device uses it. */
export interface DeviceHost {
  readonly contexts: Contexts;
  readonly broker: QueuePairs;
  readonly work: Work;
  dispatch(sender: number, datagram: Datagram, fromGuest: boolean): number;
  notifyDoorbell(cid: number, handle: Handle, privileges: number): number;
}

export class VmciDevice implements DevicePorts, HypercallDevice {
  readonly pages = new GuestPages();
  readonly pairs: BrokerDevice;
  bitmap: Uint8Array | undefined;
  readonly indexes = new Map<string, number>();
  readonly #host: DeviceHost;
  readonly #driver: DeviceDriver;
  #context: VmciContext | undefined;
  #interrupting = false;

  constructor(host: DeviceHost, driver: DeviceDriver) {
    this.#host = host;
    this.#driver = driver;
    this.pairs = new BrokerDevice(host.broker, () => this.#context);
  }

  /** Whether its guest has a context on the host. */
  get plugged(): boolean {
    return this.#context !== undefined;
  }

  /**
   * Gives the guest another context, or none: the old one ends, with its queue pairs and doorbells. Not for a context that
   * is there already.
   */
  plug(cid: number | undefined): void {
    const resumed = this.#context !== undefined;
    if (this.#context !== undefined) this.#host.contexts.destroy(this.#context);
    this.#context = undefined;
    this.indexes.clear();
    if (cid === undefined) return;
    const context = this.#host.contexts.create({
      cid,
      privileges: VMCI_DEFAULT_PROC_PRIVILEGE_FLAGS,
      version: VMCI_VERSION,
      owner: ROOT,
      // The device fetches each at once, so that none overtakes another.
      newestFirst: false,
    });
    this.#context = context;
    context.onArrival = () => this.#interrupt(context);
    if (!resumed) return;
    this.#host.contexts.contextEvent(cid, VMCI_EVENT_CTX_ID_UPDATE, cid);
    this.#host.contexts.contextEvent(cid, VMCI_EVENT_QP_RESUMED, cid);
  }

  /**
   * What writing a datagram to the device does: a hypercall, or a datagram to the host. INVALID_ARGS for bytes that are
   * no datagram, DEVICE_NOT_FOUND while it is not plugged, INVALID_RESOURCE for an unknown hypercall.
   */
  call(data: Uint8Array): number {
    const context = this.#context;
    if (context === undefined) return VMCI_RESULT.VMCI_ERROR_DEVICE_NOT_FOUND;
    const datagram = decodeDatagram(data);
    if (datagram === undefined) return VMCI_RESULT.VMCI_ERROR_INVALID_ARGS;
    if (datagram.dst.context === VMCI_HYPERVISOR_CONTEXT_ID) {
      const hypercall = HYPERCALLS.get(datagram.dst.resource)?.call;
      return hypercall?.(this, context, data) ?? VMCI_RESULT.VMCI_ERROR_INVALID_RESOURCE;
    }
    return this.#host.dispatch(context.cid, datagram, true);
  }

  queuePairs(): QueuePairRecord[] {
    return this.#context === undefined ? [] : this.#host.broker.records(this.#context.cid);
  }

  notifyDoorbell(cid: number, handle: Handle, privileges: number): number {
    return this.#host.notifyDoorbell(cid, handle, privileges);
  }

  #interrupt(context: VmciContext): void {
    if (this.#interrupting) return;
    this.#interrupting = true;
    this.#host.work.add(() => {
      this.#interrupting = false;
      if (this.#context === context) this.#deliver(context);
    });
  }

  /** One datagram at a time, so that a guest that answers itself keeps nobody else waiting. */
  #deliver(context: VmciContext): void {
    if (context.rung.length > 0) this.#writeRings(context);
    const { datagram } = context.dequeue(VMCI_MAX_DG_SIZE);
    if (context.pending) this.#interrupt(context);
    if (datagram !== undefined) this.#driver.datagram(datagram);
  }

  #writeRings(context: VmciContext): void {
    for (const handle of context.rung) this.#writeRing(handle);
    context.clearRung();
    this.#driver.notification();
  }

  #writeRing({ context, resource }: Handle): void {
    const index = this.indexes.get(`${context}:${resource}`);
    if (index !== undefined && this.bitmap !== undefined) {
      this.bitmap[index] = (this.bitmap[index] ?? 0) | 1;
    }
  }
}
