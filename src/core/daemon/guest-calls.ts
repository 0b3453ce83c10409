/** Requests about a VM's guest: its balloon, heartbeat, events, properties and faults, as the host has them. */
import { SystemError } from '../abi/errno.js';
import type { GuestProperty, GuestPropertyChange } from '../backend/port/guest.js';
import type { Domain } from '../simulator/domain.js';
import type { RealBalloon } from '../simulator/real-guest.js';
import type { GuestPropertyChange as PropertyChange } from '../simulator/vbox/services/property-store.js';
import { memoryBytes } from '../simulator/vmm/vm.js';
import { balloonRecord, heartbeatRecord, MIB, propertyRecord } from './guest-records.js';
import {
  integer,
  optionalInteger,
  optionalNumber,
  optionalText,
  optionalTruth,
  type Parameters,
  text,
} from './parameters.js';
import { propertyError } from './property-errors.js';
import type { CallTable, Session } from './session.js';

/** Nanoseconds since 1970, decimal. */
const TIME = /^\d{1,20}$/;

export const GUEST_CALLS: CallTable = {
  balloons({ session, parameters }) {
    const of = (domain: Domain) => balloonRecord(domain, session.caller);
    return { balloons: wanted(session, parameters).map(of) };
  },

  async setBalloon({ session, parameters }) {
    const domain = ownDomain(session, text(parameters, 'name'));
    const size = integer(parameters, 'size', Number.MAX_SAFE_INTEGER);
    if (domain.real.balloon === undefined) domain.vbox.setBalloon(Math.ceil(size / MIB));
    else setRealBalloon(domain, domain.real.balloon, size);
    await digested(session);
    return { balloon: balloonRecord(domain, session.caller) };
  },

  heartbeats({ session, parameters }) {
    const of = (domain: Domain) => heartbeatRecord(domain, session.caller);
    return { heartbeats: wanted(session, parameters).map(of) };
  },

  async setHeartbeat({ session, parameters }) {
    const domain = ownDomain(session, text(parameters, 'name'));
    domain.vbox.setHeartbeat({
      intervalMs: optionalInteger(parameters, 'intervalMs'),
      timeoutMs: optionalInteger(parameters, 'timeoutMs'),
      enabled: optionalTruth(parameters, 'enabled'),
    });
    await digested(session);
    return { heartbeat: heartbeatRecord(domain, session.caller) };
  },

  async raiseEvents({ session, parameters }) {
    const domain = ownDomain(session, text(parameters, 'name'));
    domain.vbox.device.raiseEvents(integer(parameters, 'events'));
    await digested(session);
    return {};
  },

  guestProperties({ session, parameters }): { properties: GuestProperty[] } {
    const pattern = text(parameters, 'pattern');
    const found = vmOf(session, parameters).vbox.properties.enumerate(pattern);
    if (typeof found === 'number') throw propertyError(found, pattern);
    return { properties: found.map(propertyRecord) };
  },

  guestProperty({ session, parameters }): { property: GuestProperty } {
    const name = text(parameters, 'name');
    const property = vmOf(session, parameters).vbox.properties.get(name);
    if (typeof property === 'number') throw propertyError(property, name);
    return { property: propertyRecord(property) };
  },

  async setGuestProperty({ session, parameters }) {
    const { properties } = ownDomain(session, text(parameters, 'vm')).vbox;
    const name = text(parameters, 'name');
    const status =
      parameters.value === null
        ? properties.delete(name)
        : properties.set(name, text(parameters, 'value'), optionalText(parameters, 'flags'));
    if (status < 0) throw propertyError(status, name);
    await digested(session);
    return {};
  },

  nextGuestProperty({ session, parameters, signal }): Promise<{ change: GuestPropertyChange }> {
    const domain = vmOf(session, parameters);
    const pattern = text(parameters, 'pattern');
    const missed = missedChange(domain, pattern, optionalText(parameters, 'after'));
    if (missed !== undefined) return Promise.resolve({ change: changeRecord(missed) });
    return new Promise((resolve, reject) => {
      const end = (action: () => void) => {
        stop();
        stopWatching();
        signal.removeEventListener('abort', interrupted);
        action();
      };
      const stop = domain.vbox.properties.onChange(pattern, (change) => {
        end(() => resolve({ change: changeRecord(change) }));
      });
      const stopWatching = session.shared.keeper.onChange(() => {
        const { world } = session.shared.keeper;
        if (world.peek(domain.vm.name) !== domain) end(() => reject(gone(domain)));
      });
      const interrupted = () => end(() => reject(new SystemError('EINTR')));
      signal.addEventListener('abort', interrupted);
      if (signal.aborted) interrupted();
    });
  },

  async setFault({ session, parameters }) {
    const domain = ownDomain(session, text(parameters, 'name'));
    const value = optionalNumber(parameters, 'value');
    const forMs = optionalInteger(parameters, 'forMs');
    domain.faults.set(text(parameters, 'kind'), value, forMs);
    await digested(session);
    return {};
  },

  async clearFault({ session, parameters }) {
    ownDomain(session, text(parameters, 'name')).faults.clear(optionalText(parameters, 'kind'));
    await digested(session);
    return {};
  },
};

/** The device has no limit but the guest's memory. What is kept is what the simulated guest's device can have. */
function setRealBalloon(domain: Domain, balloon: RealBalloon, size: number): void {
  const memory = memoryBytes(domain.vm);
  if (size > memory) {
    throw new SystemError('EINVAL', {
      message: `'${domain.vm.name}' has ${Math.floor(memory / MIB)} MiB of memory`,
    });
  }
  balloon.setTarget(size);
  domain.vbox.setBalloon(Math.min(Math.ceil(size / MIB), domain.vbox.device.maxBalloonChunks));
}

/** A change that came while its client was told of the one before it. */
function missedChange(domain: Domain, pattern: string, after: string | undefined) {
  if (after === undefined) return undefined;
  if (!TIME.test(after)) throw new SystemError('EINVAL', { message: `'${after}' is no time` });
  return domain.vbox.properties.changeAfter(pattern, BigInt(after));
}

function changeRecord(change: PropertyChange): GuestPropertyChange {
  return { ...propertyRecord(change), deleted: change.deleted };
}

/** One VM, or all that the caller sees. */
function wanted(session: Session, parameters: Parameters): Domain[] {
  const name = optionalText(parameters, 'name');
  const { keeper } = session.shared;
  const found =
    name === undefined ? keeper.world.domains(session.caller) : [domainOf(session, name)];
  keeper.digest();
  return found;
}

function vmOf(session: Session, parameters: Parameters): Domain {
  return domainOf(session, text(parameters, 'vm'));
}

function domainOf(session: Session, name: string): Domain {
  return session.shared.keeper.world.domain(name, session.caller);
}

/** A VM that the caller may change. */
function ownDomain(session: Session, name: string): Domain {
  return session.shared.keeper.world.ownDomain(name, session.caller);
}

function gone({ vm }: Domain): SystemError {
  return new SystemError('ENOENT', { message: `the VM '${vm.name}' was destroyed` });
}

async function digested(session: Session): Promise<void> {
  session.shared.keeper.digest();
  await session.shared.keeper.durable();
}
