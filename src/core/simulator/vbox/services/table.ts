/** The services that a simulated host offers to a guest. */
import type { Clock } from '../../clock.js';
import type { Deadlines } from '../../deadlines.js';
import type { HgcmService } from '../hgcm-service.js';
import { EchoService } from './echo.js';
import type { GuestPropertyService } from './guest-properties.js';

/** What services are made of; each VM has its own. */
export interface ServiceContext {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** Made before, since the host uses it too. */
  readonly guestProperties: GuestPropertyService;
}

const SERVICES: readonly (readonly [
  name: string,
  make: (context: ServiceContext) => HgcmService,
])[] = [
  ['VBoxGuestPropSvc', ({ guestProperties }) => guestProperties],
  ['VmmctlEcho', (context) => new EchoService(context)],
];

/** The services of one VM, by the names with which its guest connects. */
export function makeServices(context: ServiceContext): ReadonlyMap<string, HgcmService> {
  return new Map(SERVICES.map(([name, make]) => [name, make(context)]));
}
