/** What vmmctl itself needs: koffi for system calls, a place for its sockets, the simulated host. */
import { accessSync, constants, existsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Invocation } from '../cli/command.js';
import { SystemError } from '../core/abi/errno.js';
import { type SimulatorStatus, simulatorStatus } from '../core/backend/simulator/control.js';
import { failure, inTime, PROBE_TIMEOUT_MS } from '../core/client/probe.js';
import type { Check } from './doctor-view.js';
import { simulatedHost } from './sim/host.js';

/** Asks without starting or writing anything. `uri` is the backend's. */
export async function ownChecks(uri: string, connect: Invocation['connect']): Promise<Check[]> {
  const host = uri.startsWith('sim') ? simulatedHost(uri) : 'default';
  return [nodeCheck(), await koffiCheck(connect), ...(await hostChecks(host))];
}

function nodeCheck(): Check {
  const { version, platform, arch } = process;
  return own('node', { version: version.slice(1), detail: `${version} on ${platform}-${arch}` });
}

/** The backend for real nodes is there when system calls can be made. */
async function koffiCheck(connect: Invocation['connect']): Promise<Check> {
  try {
    const backend = await connect('device', {});
    await backend.close();
    return own('koffi', { detail: 'system calls can be made', commands: ['--backend device'] });
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return own('koffi', { ...failure(error), state: 'missing', hint: error.hint ?? null });
  }
}

async function hostChecks(host: string): Promise<Check[]> {
  try {
    const status = await inTime(simulatorStatus(host), PROBE_TIMEOUT_MS);
    return [runtimeCheck(status), simulatorCheck(status)];
  } catch (error) {
    const hint = error instanceof SystemError ? (error.hint ?? null) : null;
    return [own('sim', { ...failure(error), hint })];
  }
}

/** The directory is made at the first need, so what counts is the nearest one that exists. */
function runtimeCheck({ runtimeDirectory }: SimulatorStatus): Check {
  let existing = runtimeDirectory;
  while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing);
  const facts = { path: runtimeDirectory };
  try {
    accessSync(existing, constants.W_OK | constants.X_OK);
    return own('runtime', { detail: runtimeDirectory, facts });
  } catch {
    const error = new SystemError('EACCES', { message: `${existing} can't be written` });
    const hint = 'set XDG_RUNTIME_DIR to a directory of yours';
    return own('runtime', { ...failure(error), facts, hint });
  }
}

function simulatorCheck(status: SimulatorStatus): Check {
  const { host, running, pid, version, vms } = status;
  const facts = { host, running, pid, vms };
  const count = vms === 1 ? '1 VM' : `${vms} VMs`;
  const detail = running
    ? `'${host}' runs as process ${pid}, with ${count}`
    : `'${host}' does not run; it starts with the first command that needs it`;
  return own('sim', { version, detail, facts, commands: ['--backend sim'] });
}

function own(name: string, known: Partial<Check>): Check {
  return {
    system: 'vmmctl',
    name,
    state: 'ok',
    ...{ code: null, message: null, version: null, detail: null, facts: {} },
    ...{ owner: null, commands: [], hint: null },
    ...known,
  };
}
