/** The balloon of the guest that we are in, whoever brought it: VirtualBox's device, or virtio's. */
import { type ErrorCode, SystemError } from '../abi/errno.js';
import { VMMDEV_MEMORY_BALLOON_CHUNK_SIZE } from '../abi/vmmdev-memory.js';
import type { BalloonRecord, GuestStatistics } from '../backend/port/guest.js';
import type { Machine } from '../backend/port.js';
import { guestBalloon, guestMemory } from './balloon.js';
import { isOneOf } from './explain.js';
import { checkBalloon, openVboxGuest } from './vboxguest.js';

/** What a machine says that has no balloon of virtio's. */
const NO_VIRTIO: readonly ErrorCode[] = ['ENOENT', 'ENOTDIR'];

/**
 * What a guest knows of its balloon: its size and unit, and the guest's own memory. The rest is null.
 * @param now milliseconds since the epoch, when the guest looks at its memory.
 * @throws SystemError ENODEV where there is no balloon; EACCES and EPERM for one that the caller may not ask.
 */
export async function guestBalloonRecord(machine: Machine, now: number): Promise<BalloonRecord> {
  const record = (await virtualBoxBalloon(machine)) ?? (await virtioBalloon(machine));
  const memory = await guestMemory(machine);
  const known = memory.memoryTotal !== null || memory.memoryAvailable !== null;
  const guestStats = known ? { ...NO_STATISTICS, ...memory, reportedAt: timeText(now) } : null;
  return { vm: null, memory: null, target: null, ...record, guestStats };
}

type Size = Pick<BalloonRecord, 'actual' | 'unit'>;

/** Undefined where VirtualBox's device is not. */
async function virtualBoxBalloon(machine: Machine): Promise<Size | undefined> {
  const node = await openVboxGuest(machine).catch((error) => {
    if (isOneOf(error, ['ENODEV'])) return undefined;
    throw error;
  });
  if (node === undefined) return undefined;
  try {
    const unit = VMMDEV_MEMORY_BALLOON_CHUNK_SIZE;
    return { actual: (await checkBalloon(node)) * unit, unit };
  } finally {
    await node.close();
  }
}

async function virtioBalloon(machine: Machine): Promise<Size> {
  try {
    const { actual, unit } = await guestBalloon(machine);
    return { actual, unit };
  } catch (error) {
    if (!isOneOf(error, NO_VIRTIO)) throw error;
    throw new SystemError('ENODEV', {
      message: 'this machine has no memory balloon',
      hint: "it is a guest's device; 'vmmctl doctor' shows what this machine has",
    });
  }
}

const NO_STATISTICS: Omit<GuestStatistics, 'reportedAt'> = {
  cpuUser: null,
  cpuKernel: null,
  cpuIdle: null,
  threads: null,
  processes: null,
  memoryLoad: null,
  memoryTotal: null,
  memoryAvailable: null,
  memoryBalloon: null,
  memoryCommitted: null,
  kernelTotal: null,
  systemCache: null,
  pageFileSize: null,
};

function timeText(now: number): string {
  return new Date(now).toISOString();
}
