/** Sets of CPUs as the kernel has them: cpuset_t of amd64, bit N of byte N / 8 is CPU N. */
import { MAX_MAXCPU } from './config.js';

/** sizeof(cpuset_t), bytes, in FreeBSD 14 and newer. */
export const CPUSET_SIZE = MAX_MAXCPU / 8;

/** A set as bytes. Numbers from CPU_SETSIZE on have no place in it. */
export function cpusetOf(cpus: Iterable<number>): Uint8Array {
  const set = new Uint8Array(CPUSET_SIZE);
  for (const cpu of cpus) {
    const at = cpu >>> 3;
    if (at < CPUSET_SIZE) set[at] = (set[at] ?? 0) | (1 << (cpu & 7));
  }
  return set;
}

/** CPU_FLS: the highest number in a set, plus one; 0 for the empty set. */
export function highestCpu(cpus: Iterable<number>): number {
  let highest = 0;
  for (const cpu of cpus) highest = Math.max(highest, cpu + 1);
  return highest;
}

/** CPU_CMP: whether both have the same CPUs. */
export function sameCpus(a: ReadonlySet<number>, b: ReadonlySet<number>): boolean {
  return a.size === b.size && [...a].every((cpu) => b.has(cpu));
}
