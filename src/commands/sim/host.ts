/** Which simulated host the `sim` commands are about, and how one is shown. */
import { UsageError } from '../../cli/errors.js';
import { escapeControls } from '../../cli/view/escape.js';
import type { SimulatorStatus } from '../../core/backend/simulator/control.js';

/** The name in `sim` or `sim:NAME`. */
export function simulatedHost(uri: string): string {
  const [kind, ...name] = uri.split(':');
  if (kind === 'sim') return name.join(':') || 'default';
  throw new UsageError(`'${uri}' is not a simulated host`, "give '--backend sim' or 'sim:NAME'");
}

export function statusPage(status: SimulatorStatus): string {
  const rows: [string, unknown][] = [
    ['host', status.host],
    ['state', status.running ? 'running' : 'stopped'],
    ['pid', status.pid],
    ['version', status.version],
    ['started', status.startedAt],
    ['VMs', status.vms],
    ['sockets', status.sockets],
    ['clients', status.clients],
    ['socket', status.socket],
    ['runtime', status.runtimeDirectory],
    ['state in', status.stateDirectory],
    ['log', status.logFile],
    ...prefixed('option', status.options),
    ...prefixed('counter', status.counters),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(
    ([name, value]) =>
      `${escapeControls(name).padEnd(width)}  ${escapeControls(String(value ?? '-'))}\n`,
  );
  return lines.join('');
}

function prefixed(prefix: string, values: Readonly<Record<string, unknown>>): [string, unknown][] {
  return Object.entries(values).map(([name, value]) => [`${prefix} ${name}`, value]);
}
