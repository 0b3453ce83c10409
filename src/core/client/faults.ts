/** The faults that a simulated guest can be given, as people write them. The simulator has a table of its own. */

export interface FaultKind {
  readonly kind: string;
  /** What is given with it: nothing, milliseconds, or a share from 0 to 1. */
  readonly value: 'none' | 'ms' | 'share';
  readonly summary: string;
}

export const FAULT_KINDS: readonly FaultKind[] = [
  { kind: 'heartbeat-stop', value: 'none', summary: "the guest's heartbeat stops" },
  { kind: 'balloon-refuse', value: 'none', summary: 'the guest has no memory for its balloon' },
  { kind: 'balloon-lag', value: 'ms', summary: 'each MiB of the balloon takes so long' },
  { kind: 'agent-stop', value: 'none', summary: "the guest's agent is stopped" },
  { kind: 'agent-refuse', value: 'none', summary: 'the agent ignores the balloon and statistics' },
  { kind: 'agent-lag', value: 'ms', summary: 'all that the agent does comes so much later' },
  { kind: 'vsock-stall', value: 'none', summary: 'no packets of vsock leave or reach the guest' },
  { kind: 'vsock-reset', value: 'none', summary: 'the guest loses its connections, once' },
  { kind: 'drop-packets', value: 'share', summary: 'so many packets of vsock are lost' },
];

export function findFault(kind: string): FaultKind | undefined {
  return FAULT_KINDS.find((each) => each.kind === kind);
}

/** In words; a dash for a kind that is not known. */
export function faultSummary(kind: string): string {
  return findFault(kind)?.summary ?? '-';
}
