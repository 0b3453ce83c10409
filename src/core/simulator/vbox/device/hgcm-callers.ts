/** On whose behalf the guest's driver asks, and what each class of callers may hold of the host. Sources: VMMDevHGCM.cpp, HGCM.cpp. */
import { type HgcmClientClass, VMMDEV_MAX_HGCM_DATA_SIZE } from '../../../abi/hgcm.js';
import { VMMDEV_REQUESTOR } from '../../../abi/vmmdev.js';

const { VMMDEV_REQUESTOR_LEGACY, VMMDEV_REQUESTOR_USR_MASK } = VMMDEV_REQUESTOR;

/** Of VMMDEV_REQUESTOR_USR_*, in the order of their numbers. */
const CLASSES: readonly HgcmClientClass[] = [
  'kernel',
  'kernel',
  'kernel',
  'root',
  'root',
  'user',
  'user',
  'user',
];

/** Bytes that a command takes with up to six parameters; VirtualBox keeps them in blocks of this size. */
const COMMAND_COST = 512;

/** To which class memory counts. */
export function heapClass(requestor: number): HgcmClientClass {
  if (requestor === VMMDEV_REQUESTOR_LEGACY) return 'kernel';
  return CLASSES[requestor & VMMDEV_REQUESTOR_USR_MASK] ?? 'user';
}

/**
 * To which class a client counts. Who does not say who asks counts as a user here, other than above; of a driver that
 * never says it everything is the kernel's.
 */
export function clientClass(requestor: number, isTold: boolean): HgcmClientClass {
  if (!isTold || requestor === VMMDEV_REQUESTOR_LEGACY) return 'kernel';
  return (requestor & VMMDEV_REQUESTOR_USR_MASK) === 0 ? 'user' : heapClass(requestor);
}

/** What one command holds. */
export interface Charge {
  /** Takes more; false when the command or its class would hold too much. */
  add(bytes: number): boolean;
  /** Gives all back. */
  release(): void;
}

/** Counts what the commands in flight hold on the host. */
export class HeapBudget {
  readonly #budget: number;
  readonly #held: Record<HgcmClientClass, number> = { kernel: 0, root: 0, user: 0 };

  /** @param budget bytes for each class. */
  constructor(budget: number) {
    this.#budget = budget;
  }

  /** Bytes that a class holds. */
  held(owner: HgcmClientClass): number {
    return this.#held[owner];
  }

  /** For a new command; undefined when its class has no room for one. */
  open(owner: HgcmClientClass): Charge | undefined {
    let mine = 0;
    const add = (bytes: number): boolean => {
      const fits =
        mine + bytes <= VMMDEV_MAX_HGCM_DATA_SIZE && this.#held[owner] + bytes <= this.#budget;
      if (!fits) return false;
      mine += bytes;
      this.#held[owner] += bytes;
      return true;
    };
    const release = (): void => {
      this.#held[owner] -= mine;
      mine = 0;
    };
    return add(COMMAND_COST) ? { add, release } : undefined;
  }
}
