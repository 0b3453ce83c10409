/** What each fault does to a VM. */
import { SystemError } from '../abi/errno.js';

import type { Domain } from './domain.js';
import { DEFAULT_CHUNK_MS } from './vbox/driver/driver.js';
import type { VsockNetwork } from './vsock/network.js';

export interface FaultPlace {
  readonly domain: Domain;
  readonly network: VsockNetwork;
  chance(probability: number): boolean;
}

type Effect = (place: FaultPlace, value: number | undefined) => void;

const EFFECTS: Readonly<Record<string, Effect>> = {
  'heartbeat-stop': ({ domain }, value) => {
    domain.vbox.driver.heartbeatStopped = value !== undefined;
  },
  'balloon-refuse': ({ domain }, value) => {
    domain.vbox.memory.refusesPages = value !== undefined;
  },
  'balloon-lag': ({ domain }, value) => {
    domain.vbox.driver.chunkMs = value ?? DEFAULT_CHUNK_MS;
  },
  'agent-stop': ({ domain }, value) => {
    domain.vbox.agent.halted = value !== undefined;
  },
  'agent-refuse': ({ domain }, value) => {
    domain.vbox.agent.refusing = value !== undefined;
  },
  'agent-lag': ({ domain }, value) => {
    domain.vbox.agent.lagMs = value ?? 0;
  },
  'vsock-stall': ({ domain, network }, value) => {
    network.stall(domain.guest, value !== undefined);
  },
  'vsock-reset': ({ domain, network }) => {
    network.resetGuest(domain.guest);
    domain.faults.renew();
  },
  'drop-packets': ({ domain, network, chance }, value) => {
    const { port } = domain.guest;
    const loses = value === undefined ? undefined : () => chance(value);
    if (port !== undefined) network.switch.lose(port, loses);
  },
};

/**
 * @throws SystemError EOPNOTSUPP for packets of virtio where VMCI carries a VM's vsock: its bytes are in memory, where
 *   none gets lost.
 */
export function checkFault({ guest }: Domain, kind: string): void {
  if (kind !== 'drop-packets' || guest.transport === 'virtio') return;
  throw new SystemError('EOPNOTSUPP', { message: 'no packets of vsock are lost over VMCI' });
}

/** Begins, changes (by a value, 0 for a kind that has none) or ends (undefined) a fault of a VM. */
export function applyFault(place: FaultPlace, kind: string, value: number | undefined): void {
  EFFECTS[kind]?.(place, value);
}
