/** The memory balloon as the guest that it is in sees it: Linux's virtio driver, by sysfs and procfs. */
import { AT_PAGESZ, auxv_t } from '../abi/auxv.js';
import { SystemError } from '../abi/errno.js';
import { featureNames, VIRTIO_FEATURES } from '../abi/virtio.js';
import { VIRTIO_BALLOON_FEATURES, VIRTIO_BALLOON_PFN_SHIFT } from '../abi/virtio-balloon.js';
import type { Machine } from '../backend/port.js';
import { type Answer, type Probe, readText } from './probe.js';

const DRIVER = '/sys/bus/virtio/drivers/virtio_balloon';
const DEVICE_NAME = /^virtio\d+$/;
const MIB = 2 ** 20;

export const BALLOON_PROBES: readonly Probe[] = [
  { system: 'balloon', name: 'virtio_balloon', ask: askBalloon },
];

/** What the guest knows; the host's wish is not among it. Sizes are in bytes. */
export interface GuestBalloon {
  /** Name of the virtio device. */
  device: string;
  /** What both sides agreed on. */
  features: string[];
  /** The step of its size. */
  unit: number;
  /** Its size; null where the kernel doesn't tell. */
  actual: number | null;
  /** What was ever put into it, taken out of it, and moved within it. */
  inflated: number | null;
  deflated: number | null;
  migrated: number | null;
  /** The guest's memory as it is now: all, and what programs could have. */
  memoryTotal: number | null;
  memoryAvailable: number | null;
}

/** @throws SystemError ENOENT where there is no balloon, or no driver for it. */
export async function guestBalloon(machine: Machine): Promise<GuestBalloon> {
  const device = (await machine.readdir(DRIVER)).find((name) => DEVICE_NAME.test(name));
  if (device === undefined) {
    throw new SystemError('ENOENT', { message: 'the driver virtio_balloon has no device' });
  }
  const [bits, statistics, memory, page] = await Promise.all([
    readText(machine, `${DRIVER}/${device}/features`),
    readNumbers(machine, '/proc/vmstat'),
    guestMemory(machine),
    pageSize(machine),
  ]);
  const pages = (name: string) => scaled(statistics.get(name), page);
  const [inflated, deflated] = [pages('balloon_inflate'), pages('balloon_deflate')];
  return {
    device,
    features: featureNames(parseFeatureBits(bits ?? ''), {
      ...VIRTIO_FEATURES,
      ...VIRTIO_BALLOON_FEATURES,
    }),
    unit: 1 << VIRTIO_BALLOON_PFN_SHIFT,
    // Newer kernels count what is in it now; on older ones all balloons of a guest have one sum.
    actual: pages('nr_balloon_pages') ?? difference(inflated, deflated),
    inflated,
    deflated,
    migrated: pages('balloon_migrate'),
    ...memory,
  };
}

/** A guest's memory as it is now; nulls where there is no procfs. */
export async function guestMemory(
  machine: Machine,
): Promise<Pick<GuestBalloon, 'memoryTotal' | 'memoryAvailable'>> {
  const memory = await readNumbers(machine, '/proc/meminfo');
  const kib = (name: string) => scaled(memory.get(name), 1024);
  return { memoryTotal: kib('MemTotal'), memoryAvailable: kib('MemAvailable') };
}

async function askBalloon(machine: Machine): Promise<Answer> {
  const balloon = await guestBalloon(machine);
  const size = balloon.actual === null ? 'of unknown size' : `holds ${balloon.actual / MIB} MiB`;
  return { detail: `${balloon.device} ${size}`, facts: { ...balloon } };
}

/** sysfs shows the bits as digits, the lowest first. */
export function parseFeatureBits(text: string): bigint {
  const digits = [...text].reverse().join('');
  return /^[01]+$/.test(digits) ? BigInt(`0b${digits}`) : 0n;
}

/** Lines of a name and a number, `balloon_inflate 7` and `MemTotal:  24684084 kB`. */
async function readNumbers(machine: Machine, path: string): Promise<Map<string, number>> {
  const text = (await readText(machine, path)) ?? '';
  return new Map(
    [...text.matchAll(/^(\w+):?\s+(\d+)/gm)].map(([, name = '', value]) => [name, Number(value)]),
  );
}

/** Bytes of a page of this machine's memory, as the kernel tells each program at its start. */
async function pageSize(machine: Machine): Promise<number | undefined> {
  let data: Uint8Array;
  try {
    data = await machine.readFile('/proc/self/auxv');
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
  for (let at = 0; at + auxv_t.size <= data.length; at += auxv_t.size) {
    const { a_type, a_val } = auxv_t.decode(data.subarray(at, at + auxv_t.size));
    if (a_type === BigInt(AT_PAGESZ)) return Number(a_val);
  }
  return undefined;
}

function scaled(count: number | undefined, unit: number | undefined): number | null {
  return count === undefined || unit === undefined ? null : count * unit;
}

function difference(all: number | null, less: number | null): number | null {
  return all === null || less === null ? null : Math.max(0, all - less);
}
