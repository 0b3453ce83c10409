/** A VM of the simulated host with all that belongs to it, and what can become of it. */
import type { GuestPower } from './guest-power.js';
import type { GuestMachine } from './machine.js';
import type { Caller } from './node.js';
import type { RealGuest } from './real-guest.js';
import type { FaultSet } from './vbox/faults.js';
import type { SavedVbox, VboxVm } from './vbox/vbox-vm.js';
import type { GuestVmci } from './vmci/vmci.js';
import { type SavedVm as SavedVmm, saveVm, type Vm } from './vmm/vm.js';
import type { Guest, VsockTransport } from './vsock/network.js';

/** A VM with what the simulated host adds to it: a guest, a CID, labels. */
export interface Domain {
  readonly vm: Vm;
  readonly guest: Guest;
  readonly machine: GuestMachine;
  readonly vbox: VboxVm;
  readonly vmci: GuestVmci;
  readonly faults: FaultSet;
  /** The kernel that may have taken the place of the simulated guest. */
  readonly real: RealGuest;
  readonly power: GuestPower;
  labels: Record<string, string>;
}

/** What brings a persistent VM back. */
export interface SavedVm extends SavedVmm {
  cid: number | null;
  labels: Record<string, string>;
  /** What follows is absent in what older versions saved. */
  vbox?: SavedVbox;
  /** Virtio when it is absent. */
  vsockTransport?: VsockTransport;
}

/** What happened to a VM. */
export interface DomainEvent {
  readonly type: 'created' | 'changed' | 'destroyed';
  readonly domain: Domain;
}

export interface DomainChange {
  cid?: number | 'auto' | undefined;
  labels?: Record<string, string> | undefined;
  vsockTransport?: VsockTransport | undefined;
}

/** A VM's name as a caller sees it in lists: those of jails below have the path from there before their name. */
export function listedName({ name, creator }: Vm, { jail }: Caller): string {
  if (creator.jail === jail) return name;
  const below = jail === '' ? creator.jail : creator.jail.slice(jail.length + 1);
  return `${below}/${name}`;
}

/** What brings a VM back. */
export function saveDomain({ vm, guest, labels, vbox }: Domain): SavedVm {
  const saved = { ...saveVm(vm), cid: guest.cid ?? null, labels, vbox: vbox.save() };
  return guest.transport === 'virtio' ? saved : { ...saved, vsockTransport: guest.transport };
}
