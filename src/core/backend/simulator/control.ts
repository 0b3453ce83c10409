/** Starting, stopping and asking after the process that keeps a simulated host alive. */
import { setTimeout as delay } from 'node:timers/promises';
import { SystemError } from '../../abi/errno.js';
import { type HostPaths, hostPaths } from '../../daemon/paths.js';
import { type Connection, dial, GoneError, OtherVersionError, openControl } from './connection.js';
import { startDaemon } from './start.js';

/** How a simulated host is set up; kept with its state, so that a restart has the same. */
export interface SimulatorOptions {
  /** Which kernel's vsock it imitates: `linux-6.12` (default), `linux-6.1`, `patchset-2015`. */
  profile?: string | undefined;
  /** How bhyve's devices behave: `landed` (default), `draft`, `freebsd-15.0` or `freebsd-14`. */
  vmmctl?: string | undefined;
  /** Whose drivers of VMCI it has: `linux` (default), `vmware`, `freebsd`. */
  vmci?: string | undefined;
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

/** How long a daemon may take to end, milliseconds. */
const STOP_TIMEOUT_MS = 10_000;

/** Starts it unless it runs; `started` says which. EBUSY when it runs with other options than asked for. */
export async function startSimulator(
  host: string,
  options: SimulatorOptions,
): Promise<SimulatorStatus & { started: boolean }> {
  const wanted = Object.entries(options).filter(([, value]) => value !== undefined);
  const before = await simulatorStatus(host);
  const started =
    !before.running && (await startDaemon(hostPaths(host), Object.fromEntries(wanted)));
  const status = started || !before.running ? await simulatorStatus(host) : before;
  const other = wanted.find(([name, value]) => status.options[name] !== value);
  if (other === undefined) return { ...status, started };
  throw new SystemError('EBUSY', {
    message: `it runs already, with ${other[0]} ${status.options[other[0]]}`,
    hint: "stop it first with 'vmmctl sim stop'",
  });
}

/** Ends it; persistent VMs come back at the next start. False when it did not run. */
export async function stopSimulator(host: string): Promise<boolean> {
  const paths = hostPaths(host);
  try {
    const connection = await openControl(paths);
    if (connection === undefined) return false;
    await connection.call('stop');
    connection.close();
  } catch (error) {
    if (!(error instanceof OtherVersionError) || error.identity.pid === undefined) throw error;
    process.kill(error.identity.pid, 'SIGTERM');
  }
  await waitUntilGone(paths.socket);
  return true;
}

export async function simulatorStatus(host: string): Promise<SimulatorStatus> {
  const paths = hostPaths(host);
  const places = {
    host,
    socket: paths.socket,
    runtimeDirectory: paths.runtime,
    stateDirectory: paths.state,
    logFile: paths.log,
  };
  const known = await ask(paths);
  if (known !== undefined) return { ...places, ...known };
  return {
    ...places,
    running: false,
    pid: null,
    version: null,
    startedAt: null,
    vms: null,
    sockets: null,
    clients: null,
    options: {},
    counters: {},
  };
}

/** Undefined when it does not run, or ends just now. */
async function ask(paths: HostPaths) {
  let connection: Connection | undefined;
  try {
    connection = await openControl(paths);
    if (connection === undefined) return undefined;
    const { values } = await connection.call('status');
    const known = values as unknown as Omit<SimulatorStatus, 'host' | 'running'>;
    return { running: true, ...known };
  } catch (error) {
    if (error instanceof GoneError) return undefined;
    throw error;
  } finally {
    connection?.close();
  }
}

async function waitUntilGone(path: string): Promise<void> {
  const giveUpAt = performance.now() + STOP_TIMEOUT_MS;
  while (performance.now() < giveUpAt) {
    const socket = await dial(path);
    if (socket === undefined) return;
    socket.destroy();
    await delay(20);
  }
  throw new SystemError('ETIMEDOUT', { message: 'the simulated host does not end' });
}
