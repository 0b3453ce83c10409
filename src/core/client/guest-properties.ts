/** Guest properties, as both sides of a VM read and write them: one interface, and two ways to have it. */
import { GUEST_PROP_MAX_NAME_LEN } from '../abi/guest-prop.js';
import type { GuestProperty, GuestPropertyChange } from '../backend/port/guest.js';
import type { CallOptions } from '../backend/port/node.js';
import type { Management } from '../backend/port.js';
import { explain } from './explain.js';

export interface GuestProperties {
  /** @throws SystemError ENOENT. */
  get(name: string): Promise<GuestProperty>;
  /**
   * Without flags it has none from then on.
   * @throws SystemError EACCES for one that this side may not change, EINVAL for a name or flags that make no sense,
   *   E2BIG for a value that is too long and when there are too many.
   */
  set(name: string, value: string, flags?: string): Promise<void>;
  /** One that is not there is deleted already. @throws SystemError EACCES, EINVAL. */
  delete(name: string): Promise<void>;
  /** Those whose names match a pattern, in no order; all for an empty one. @throws SystemError E2BIG. */
  list(pattern: string): Promise<GuestProperty[]>;
  /** The next change of a property that a pattern matches; none between two calls is missed. @throws SystemError EINTR. */
  next(pattern: string, options: CallOptions): Promise<GuestPropertyChange>;
}

/** What is wrong with a name; undefined when nothing is. */
export function propertyNameProblem(name: string): string | undefined {
  if (name === '') return 'a property needs a name';
  if (/[*?|]/.test(name)) return `'${name}' has a * or ? or | in it, which stand for patterns`;
  if (name.includes('\0')) return 'a name has no NUL in it';
  const most = GUEST_PROP_MAX_NAME_LEN - 1;
  return Buffer.byteLength(name) > most ? `'${name}' is longer than ${most} bytes` : undefined;
}

/** The host's side. @throws SystemError ENOENT for a VM that there is not. */
export async function hostProperties(management: Management, vm: string): Promise<GuestProperties> {
  await management.vm(vm);
  let after: string | undefined;
  return {
    get: (name) =>
      explain(management.guestProperty(vm, name), { ENOENT: [`no property '${name}'`] }),
    set: (name, value, flags) => management.setGuestProperty(vm, name, value, flags),
    delete: (name) => management.setGuestProperty(vm, name, null),
    list: (pattern) => management.guestProperties(vm, pattern),
    async next(pattern, options) {
      const change = await management.nextGuestProperty(vm, pattern, { ...options, after });
      after = change.timestamp;
      return change;
    },
  };
}
