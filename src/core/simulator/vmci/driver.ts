/**
 * VMCI in one kernel: its endpoints, the contexts that it is the host of, and the device that it may be the guest of.
 * A kernel may be both at once, since a guest's programs can have contexts too. Source: Linux drivers/misc/vmw_vmci.
 */
import {
  VMCI_CONTEXT_RESOURCE_ID,
  VMCI_DEFAULT_PROC_PRIVILEGE_FLAGS,
  VMCI_EVENT_HANDLER,
  VMCI_HOST_CONTEXT_ID,
  VMCI_HYPERVISOR_CONTEXT_ID,
  VMCI_INVALID_ID,
  VMCI_VERSION,
} from '../../abi/vmci.js';
import { VMCI_MAX_DG_PAYLOAD_SIZE } from '../../abi/vmci-datagram.js';
import { VMCI_RESULT } from '../../abi/vmci-errors.js';
import { ROOT } from '../node.js';
import type { VmciContext } from './context.js';
import { Contexts } from './contexts.js';
import { DatagramEndpoints } from './datagrams.js';
import type { DeviceDriver } from './device.js';
import { dispatch } from './dispatch.js';
import { Doorbells } from './doorbells.js';
import { queuePairEvent, Subscriptions } from './events.js';
import { type DevicePorts, GuestLink } from './guest-link.js';
import type { Kernel } from './kernel-parts.js';
import { notifyDoorbell, ring } from './notify.js';
import type {
  Datagram,
  Handle,
  KernelApi,
  KernelQueuePair,
  QueuePairRecord,
  QueuePairRequest,
} from './parts.js';
import type { KernelProfile } from './profile.js';
import { QueuePairs } from './queue-pairs.js';
import type { HandleSpace } from './queue-pairs-entry.js';
import { GuestQueuePairs } from './queue-pairs-guest.js';
import { HostQueuePairs } from './queue-pairs-host.js';
import type { KernelParts } from './queue-pairs-kernel.js';
import { Resources, type ResourceType } from './resources.js';
import type { Place } from './route.js';
import type { Work } from './work.js';

export interface DriverOptions {
  readonly profile: KernelProfile;
  /** Of contexts of programs. */
  readonly newestFirst: boolean;
  readonly work: Work;
}

export class VmciDriver implements KernelApi, Kernel, Place, DeviceDriver {
  readonly profile: KernelProfile;
  readonly newestFirst: boolean;
  readonly work: Work;
  readonly contexts: Contexts;
  readonly broker: QueuePairs;
  readonly subscriptions: Subscriptions;
  readonly endpoints: DatagramEndpoints;
  readonly doorbells: Doorbells;
  /** Programs that have a context. */
  hostUsers = 0;
  readonly #resources: Resources;
  readonly #hostPairs: HostQueuePairs;
  readonly #guestPairs: GuestQueuePairs | undefined;
  readonly #device: DevicePorts | undefined;
  readonly #link: GuestLink | undefined;

  /** @param device of a guest's kernel. */
  constructor({ profile, newestFirst, work }: DriverOptions, device?: DevicePorts) {
    this.profile = profile;
    this.newestFirst = newestFirst;
    this.work = work;
    this.#resources = new Resources(profile);
    this.subscriptions = new Subscriptions(profile);
    this.endpoints = new DatagramEndpoints(this.#resources, work);
    this.doorbells = new Doorbells(this.#resources, work);
    this.contexts = new Contexts({
      send: (datagram) => this.dispatch(VMCI_HYPERVISOR_CONTEXT_ID, datagram, false),
      gone: (context) => this.broker.contextGone(context),
    });
    this.broker = new QueuePairs(this.contexts, this.#handleSpace('qpair-host'));
    const own = this.createContext(VMCI_HOST_CONTEXT_ID, VMCI_DEFAULT_PROC_PRIVILEGE_FLAGS);
    const parts = this.#pairParts();
    this.#hostPairs = new HostQueuePairs(this.broker, () => own, parts);
    this.#device = device;
    this.#link = device && new GuestLink(device);
    this.#guestPairs = this.#link && new GuestQueuePairs(parts, this.#link);
  }

  /** A guest's kernel finds its device. False when the host lacks what it needs. */
  probe(): boolean {
    return this.link?.probe(this.doorbells.bitmap.page) ?? false;
  }

  get place(): Place {
    return this;
  }

  /** The device, while it is plugged. */
  get link(): GuestLink | undefined {
    return this.hasDevice ? this.#link : undefined;
  }

  get hasDevice(): boolean {
    return this.#device?.plugged ?? false;
  }

  /** The node is always there; a guest is a host only while a program has a context. */
  get hostActive(): boolean {
    return !this.hasDevice || this.hostUsers > 0;
  }

  get cid(): number {
    return this.link?.cid ?? VMCI_HOST_CONTEXT_ID;
  }

  has(cid: number): boolean {
    return this.contexts.get(cid) !== undefined;
  }

  /** A context of the version that is the newest, or of an older one. It may get another number than it asks for. */
  createContext(
    cid: number,
    privileges: number,
    { version = VMCI_VERSION, owner = ROOT } = {},
  ): VmciContext {
    const { newestFirst } = this;
    return this.contexts.create({ cid, privileges, version, owner, newestFirst });
  }

  dispatch(sender: number, datagram: Datagram, fromGuest: boolean): number {
    return dispatch(this, sender, datagram, fromGuest);
  }

  notifyDoorbell(cid: number, handle: Handle, privileges: number): number {
    return notifyDoorbell(this, cid, handle, privileges);
  }

  createDatagramHandle(
    resource: number,
    flags: number,
    privileges: number,
    receive: (datagram: Datagram) => number,
  ): Handle | number {
    return this.endpoints.create(this.cid, resource, { flags, privileges, receive });
  }

  destroyDatagramHandle(handle: Handle): number {
    return this.endpoints.destroy(handle);
  }

  sendDatagram(datagram: Datagram): number {
    return this.dispatch(VMCI_INVALID_ID, datagram, false);
  }

  createDoorbell(
    handle: Handle | undefined,
    flags: number,
    privileges: number,
    ring: () => void,
  ): Handle | number {
    const own = { cid: this.cid, device: this.link };
    return this.doorbells.create(own, handle, { flags, privileges, ring });
  }

  destroyDoorbell(handle: Handle): number {
    return this.doorbells.destroy(this.link, handle);
  }

  ringDoorbell(handle: Handle, privileges: number): number {
    return ring(this, handle, privileges);
  }

  subscribe(event: number, callback: (payload: Uint8Array) => void): number {
    return this.subscriptions.subscribe(event, callback);
  }

  unsubscribe(id: number): number {
    return this.subscriptions.unsubscribe(id);
  }

  /** With a device as its guest, else as the host. */
  allocQueuePair(request: QueuePairRequest): KernelQueuePair | number {
    const pairs = this.hasDevice ? this.#guestPairs : undefined;
    return (pairs ?? this.#hostPairs).alloc(request);
  }

  queuePairs(): QueuePairRecord[] {
    const ofGuest = this.#guestPairs?.localRecords() ?? [];
    return [...this.#hostPairs.records(), ...ofGuest, ...(this.#device?.queuePairs() ?? [])];
  }

  /** NO_HANDLE for one that is lost, PAYLOAD_TOO_LARGE, or what events say. Nobody learns it. */
  datagram(datagram: Datagram): number {
    const { src, dst, payload } = datagram;
    if (this.profile.checksDelivered && payload.length > VMCI_MAX_DG_PAYLOAD_SIZE) {
      return VMCI_RESULT.VMCI_ERROR_PAYLOAD_TOO_LARGE;
    }
    const isEvent =
      src.context === VMCI_HYPERVISOR_CONTEXT_ID && dst.resource === VMCI_EVENT_HANDLER;
    if (isEvent) return this.subscriptions.dispatch(datagram);
    return this.endpoints.deliverInGuest(datagram);
  }

  notification(): void {
    this.doorbells.scan();
  }

  #handleSpace(type: ResourceType): HandleSpace {
    return {
      add: (handle) => this.#resources.add(type, handle, (taken) => taken),
      remove: (handle) => this.#resources.remove(type, handle),
    };
  }

  #pairParts(): KernelParts {
    return {
      cid: () => this.cid,
      handles: this.#handleSpace('qpair-guest'),
      event: (event, handle, peer) => {
        const dst = { context: this.cid, resource: VMCI_EVENT_HANDLER };
        const src = {
          context: VMCI_HYPERVISOR_CONTEXT_ID,
          resource: VMCI_CONTEXT_RESOURCE_ID,
        };
        const payload = queuePairEvent(event, handle, peer);
        this.subscriptions.dispatch({ dst, src, payload });
      },
    };
  }
}
