/** Whose balloons the `balloon` commands are about: those of VMs as their host sees them, or a guest's own. */
import type { VmmctlCommand } from '../../cli/command.js';
import { UsageError } from '../../cli/errors.js';
import { formatAge, formatSize } from '../../cli/parse.js';
import type { Column } from '../../cli/view/table.js';
import type { BalloonRecord } from '../../core/backend/port/guest.js';
import { guestBalloonRecord } from '../../core/client/balloon-record.js';
import { requireManagement } from '../../core/client/management.js';
import type { ReadRecords } from '../vm-records.js';

const NONE = '-';

/**
 * A way to read the balloons: those of the host's VMs, or the one of the guest that the command acts in.
 * @throws UsageError for names together with a guest's view, which has but one balloon.
 * @throws SystemError EOPNOTSUPP for names where nobody knows of VMs.
 */
export async function balloonReader(
  command: VmmctlCommand,
  names: readonly string[],
): Promise<ReadRecords<BalloonRecord>> {
  const inGuest = command.machine !== 'host';
  if (inGuest && names.length > 0) {
    const hint = 'leave the names out, or give --in host for the view of the host';
    throw new UsageError('a guest sees its own balloon alone', hint);
  }
  const backend = await command.backend();
  if (names.length > 0) requireManagement(backend, 'balloons');
  const { management } = backend;
  if (!inGuest && management) return (name) => management.balloons(name);
  const machine = backend.machine(command.machine);
  return async () => [await guestBalloonRecord(machine, command.io.now())];
}

/** What is left with --quiet: the name of the VM, or the size for a guest, which doesn't know its VM's name. */
export function essential({ vm, actual }: BalloonRecord): string {
  return vm ?? sizeText(actual);
}

export function balloonColumns(now: number): Column<BalloonRecord>[] {
  const size = (name: string, of: (record: BalloonRecord) => number | null | undefined) => ({
    name,
    text: (record: BalloonRecord) => sizeText(of(record)),
    align: 'right' as const,
  });
  return [
    { name: 'vm', text: ({ vm }) => vm ?? NONE },
    size('memory', ({ memory }) => memory),
    size('target', ({ target }) => target),
    size('actual', ({ actual }) => actual),
    size('available', ({ guestStats }) => guestStats?.memoryAvailable),
    { name: 'reported', text: (record) => reportedText(record, now), align: 'right' },
  ];
}

function sizeText(bytes: number | null | undefined): string {
  return bytes === null || bytes === undefined ? NONE : formatSize(bytes);
}

/** How old the guest's statistics are. */
function reportedText({ guestStats }: BalloonRecord, now: number): string {
  return guestStats === null ? NONE : formatAge(now - Date.parse(guestStats.reportedAt));
}
