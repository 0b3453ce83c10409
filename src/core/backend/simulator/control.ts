/** Starting, stopping and asking after the process that keeps a simulated host alive. */
import { SystemError } from '../../abi/errno.js';

/** How a simulated host is set up; kept with its state, so that a restart has the same. */
export interface SimulatorOptions {
  /** Which kernel's vsock it imitates: `linux-6.12` (default), `linux-6.1`, `patchset-2015`. */
  profile?: string | undefined;
  /** How /dev/vmmctl behaves: `landed` (default) or `draft`. */
  vmmctl?: string | undefined;
  /** Who may connect to whom: `isolated` (default), `refuse`, `siblings`, `host-connects`. */
  policy?: string | undefined;
  /** hw.vmm.maxvmms, VMs a user; 0 (default) is unlimited. */
  maxVms?: number | undefined;
  /** CPUs of the simulated host, which bound those of a VM. */
  cpus?: number | undefined;
  /** How long it stays when nothing is left in it, ms; 0 is for ever. */
  idleMs?: number | undefined;
  seed?: number | undefined;
}

export interface SimulatorStatus {
  host: string;
  running: boolean;
  pid: number | null;
  /** Version of vmmctl that runs it. */
  version: string | null;
  /** ISO 8601, UTC. */
  startedAt: string | null;
  socket: string;
  runtimeDirectory: string;
  stateDirectory: string;
  logFile: string;
  vms: number | null;
  /** vsock sockets in all machines. */
  sockets: number | null;
  clients: number | null;
  options: Record<string, string | number>;
  /** Packets forwarded, dropped by reason, and so on. */
  counters: Record<string, number>;
}

/** Starts it unless it runs; `started` says which. EBUSY when it runs with other options than asked for. */
export async function startSimulator(
  _host: string,
  _options: SimulatorOptions,
): Promise<SimulatorStatus & { started: boolean }> {
  throw new SystemError('ENOSYS');
}

/** Ends it; persistent VMs come back at the next start. False when it did not run. */
export async function stopSimulator(_host: string): Promise<boolean> {
  throw new SystemError('ENOSYS');
}

export async function simulatorStatus(_host: string): Promise<SimulatorStatus> {
  throw new SystemError('ENOSYS');
}
