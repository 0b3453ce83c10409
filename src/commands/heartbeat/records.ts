/** The heartbeats of VMs, and how they are shown. */
import type { VmmctlCommand } from '../../cli/command.js';
import { formatAge, formatDuration } from '../../cli/parse.js';
import type { Column } from '../../cli/view/table.js';
import { SystemError } from '../../core/abi/errno.js';
import type { HeartbeatRecord } from '../../core/backend/port/guest.js';
import type { Management } from '../../core/backend/port.js';
import { requireManagement } from '../../core/client/management.js';

const NONE = '-';

/** @throws SystemError EOPNOTSUPP inside a guest and on real machines: only who watches a guest knows. */
export async function heartbeatManagement(command: VmmctlCommand): Promise<Management> {
  if (command.machine !== 'host') {
    throw new SystemError('EOPNOTSUPP', {
      message: 'a guest does not know what its host sees of its heartbeat',
      hint: 'ask the host: leave --in out, or give --in host',
    });
  }
  return requireManagement(await command.backend(), 'heartbeats');
}

export function heartbeatColumns(now: number): Column<HeartbeatRecord>[] {
  return [
    { name: 'vm', text: ({ vm }) => vm },
    { name: 'state', text: ({ state }) => state },
    { name: 'interval', text: ({ intervalMs }) => formatDuration(intervalMs), align: 'right' },
    { name: 'timeout', text: ({ timeoutMs }) => formatDuration(timeoutMs), align: 'right' },
    { name: 'last-beat', text: ({ lastBeat }) => ageText(lastBeat, now), align: 'right' },
    { name: 'beats', text: ({ beats }) => String(beats), align: 'right' },
    { name: 'misses', text: ({ misses }) => String(misses), align: 'right' },
  ];
}

function ageText(time: string | null, now: number): string {
  return time === null ? NONE : formatAge(now - Date.parse(time));
}
