/** Real kernels as guests of one simulated host that lets them talk to each other (policy `siblings`). */
import type { Test } from 'tap';
import { type Host, simulatedHost } from '../helpers/host.js';
import { bootGuest, guestProgram, type RealGuest } from './real-guest.js';

/** A guest, and the CID at which its sibling finds it. */
export interface Sibling extends RealGuest {
  readonly cid: number;
}

/** A host with three VMs: web1, web2 and sim1. */
export async function siblingHost(t: Test): Promise<Host> {
  const host = await simulatedHost(t);
  await host.json(['sim', 'start', '--policy', 'siblings']);
  for (const name of ['web1', 'web2', 'sim1']) {
    await host.json(['create', name, '--memory', '256M']);
  }
  return host;
}

export async function bootSibling(host: Host, vm: string): Promise<Sibling> {
  const guest = await bootGuest(host, vm);
  const { out } = await guest.run(`${guestProgram(host)} cid`);
  return { ...guest, cid: Number(out) };
}

/** Each pair of sender and receiver. */
export function bothWays([a, b]: readonly [Sibling, Sibling]): [Sibling, Sibling][] {
  return [
    [a, b],
    [b, a],
  ];
}
