/** What the parts of one kernel's VMCI are to each other. */
import type { Contexts } from './contexts.js';
import type { DatagramEndpoints } from './datagrams.js';
import type { Doorbells } from './doorbells.js';
import type { Subscriptions } from './events.js';
import type { GuestLink } from './guest-link.js';
import type { Place } from './route.js';

export interface Kernel {
  readonly contexts: Contexts;
  readonly endpoints: DatagramEndpoints;
  readonly doorbells: Doorbells;
  readonly subscriptions: Subscriptions;
  readonly place: Place;
  /** Its device; undefined without one. */
  readonly link: GuestLink | undefined;
}
