/** VMCI as a transport between the machines of one host: which machine has it, and what it is told of the others. */
import { VMADDR_CID_HOST } from '../../abi/vm-sockets.js';
import { VMCI_PRIVILEGE_FLAG_RESTRICTED } from '../../abi/vmci.js';
import type { ContextTable, KernelApi } from '../vmci/parts.js';
import type { Stack } from './stack.js';
import { type OtherContext, VmciSide } from './vmci-side.js';
import { VmciWork } from './vmci-work.js';

/** The host's VMCI, as its socket layer uses it. */
export interface VmciHost extends KernelApi {
  readonly contexts: ContextTable;
  /** Programs on /dev/vmci that have a context. */
  readonly hostUsers: number;
}

/** A guest's own view needs no more than its CID. */
interface Plugged {
  readonly cid: number | undefined;
}

export class VmciNetwork {
  readonly work = new VmciWork();
  readonly #host: VmciHost;
  readonly #isGuest: (cid: number) => boolean;
  /** Guests that have it. */
  guests = 0;

  /** @param isGuest whether the guest of a CID is reached by VMCI. */
  constructor(host: VmciHost, isGuest: (cid: number) => boolean) {
    this.#host = host;
    this.#isGuest = isGuest;
  }

  /** The host's own side. It reaches guests that have VMCI, and contexts of programs on /dev/vmci. */
  hostSide(stack: Stack): VmciSide {
    return new VmciSide({
      stack,
      api: this.#host,
      work: this.work,
      lane: (cid) => cid,
      active: () => this.guests > 0 || this.#host.hostUsers > 0,
      reaches: (cid) => cid !== VMADDR_CID_HOST && this.#reachable(cid),
      context: (cid) => this.#context(cid),
      isGuest: this.#isGuest,
    });
  }

  /** A guest's side: it goes to the host with everything, and the host refuses what is not for it. */
  guestSide(stack: Stack, api: KernelApi, guest: Plugged): VmciSide {
    return new VmciSide({
      stack,
      api,
      work: this.work,
      lane: (cid) => guest.cid ?? cid,
      active: () => guest.cid !== undefined,
      reaches: () => guest.cid !== undefined,
      context: () => UNKNOWN,
      isGuest: this.#isGuest,
    });
  }

  #reachable(cid: number): boolean {
    return this.#isGuest(cid) || this.#host.contexts.get(cid) !== undefined;
  }

  #context(cid: number): OtherContext {
    const context = this.#host.contexts.get(cid);
    if (context === undefined) return UNKNOWN;
    const restricted = (context.privileges & VMCI_PRIVILEGE_FLAG_RESTRICTED) !== 0;
    return { restricted, uid: context.owner.uid };
  }
}

/** A guest's kernel knows nothing of contexts; a context that is gone says nothing any more. */
const UNKNOWN: OtherContext = { restricted: false, uid: undefined };
