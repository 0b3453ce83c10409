/** Packets that were not delivered, counted by the reason. */

/**
 * Why a packet was not delivered. `full` is one for a guest that takes nothing for too long, `malformed` one that no
 * driver builds.
 */
export type DropReason =
  | 'spoofed'
  | 'unroutable'
  | 'policy'
  | 'malformed'
  | 'detached'
  | 'fault'
  | 'full';

export type Drops = Record<DropReason, number>;

/** Counts at the beginning. */
export function noDrops(): Drops {
  return {
    spoofed: 0,
    unroutable: 0,
    policy: 0,
    malformed: 0,
    detached: 0,
    fault: 0,
    full: 0,
  };
}
