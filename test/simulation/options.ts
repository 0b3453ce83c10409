/** What a simulated run is like: one flat record, derived from a seed. */
import { SeededRng } from '../../src/core/simulator/rng.js';
import type { ProfileName, VsockPolicy } from '../../src/core/simulator/vsock/profile.js';

export interface SimulationOptions {
  profile: ProfileName;
  policy: VsockPolicy;
  /** How many of a hundred guests have VMCI. */
  vmciPercent: number;
  guests: number;
  /** Connections that are begun, one after the other while the others go on. */
  connections: number;
  /** Of these, how many of a hundred are seqpacket. */
  seqpacketPercent: number;
  /** The most bytes that one side sends, and that one call sends. */
  maxBytes: number;
  maxMessage: number;
  /** Sockets that change their buffer's size, of a hundred. */
  bufferPercent: number;
  backlog: number;
  /** How long packets are under way, at most; 0 is no time. */
  maxLatencyMs: number;
  /** How long a step takes, at most. */
  maxStepMs: number;
  /** Of a thousand steps, how many stall or resume a guest's device, reset it, renumber it, remove it. */
  stallPermille: number;
  resetPermille: number;
  renumberPermille: number;
  removePermille: number;
  /** Ends of connections that are slow, that close without reading, at any time, or stop reading; of a hundred. */
  slowPercent: number;
  hastyPercent: number;
  abortPercent: number;
  deafPercent: number;
  /** Connections to host ports without a listener, which somebody claims, refuses or forgets; of a hundred. */
  deferPercent: number;
  /** Guests that are kernels behind a virtio device, of a hundred. */
  kernelPercent: number;
}

const SIZES = [1, 100, 1000, 5000, 65_536, 65_537, 200_000, 262_144, 600_000] as const;

/** The options of a seed. */
export function optionsFor(seed: number): SimulationOptions {
  const rng = new SeededRng(seed);
  const pick = <T>(choices: readonly [T, ...T[]]): T =>
    choices[rng.below(choices.length)] ?? choices[0];
  const sometimes = (most: number) => (rng.below(2) === 0 ? 0 : rng.below(most + 1));
  const profile = pick<ProfileName>(['linux-6.12', 'linux-6.12', 'linux-6.1', 'patchset-2015']);
  const old = profile === 'patchset-2015';
  return {
    profile,
    policy: pick<VsockPolicy>(['siblings', 'siblings', 'isolated', 'refuse', 'host-connects']),
    guests: 1 + rng.below(4),
    connections: 1 + rng.below(30),
    seqpacketPercent: old ? 0 : sometimes(100),
    maxBytes: pick(SIZES),
    maxMessage: pick(SIZES),
    bufferPercent: sometimes(100),
    backlog: old ? 4096 : pick([0, 1, 128]),
    maxLatencyMs: sometimes(300),
    maxStepMs: pick([0, 1, 10, 100, 3000]),
    stallPermille: sometimes(100),
    resetPermille: sometimes(30),
    renumberPermille: sometimes(30),
    removePermille: sometimes(10),
    slowPercent: sometimes(100),
    hastyPercent: sometimes(60),
    abortPercent: sometimes(40),
    deafPercent: sometimes(30),
    deferPercent: old ? 0 : sometimes(40),
    kernelPercent: old ? 0 : sometimes(100),
    vmciPercent: pick([0, 0, 50, 100]),
  };
}
