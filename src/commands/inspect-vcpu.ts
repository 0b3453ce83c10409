/** How vCPUs are shown on the page of a VM. */
import type { VmDetails } from '../core/backend/port/vm.js';
import type { VcpuDetails } from '../core/client/vmm-registers.js';
import { type Row, section } from './sections.js';

/** How they are arranged, and which do what. */
export function cpuRows({ topology, cpuSets }: VmDetails): Row[] {
  const shown: Row[] = [];
  if (topology !== null) {
    const { sockets, cores, threads, maxcpus } = topology;
    const product = `${sockets} sockets, ${cores} cores, ${threads} threads`;
    shown.push(['topology', `${product}, at most ${maxcpus}`]);
  }
  const sets = Object.entries(cpuSets ?? {}) as [string, number[]][];
  return [...shown, ...sets.map(([name, cpus]): Row => [name, cpuList(cpus)])];
}

/** `0-3,7`. */
export function cpuList(cpus: readonly number[]): string {
  const ranges: [first: number, last: number][] = [];
  for (const cpu of cpus) {
    const range = ranges.at(-1);
    if (range !== undefined && range[1] + 1 === cpu) range[1] = cpu;
    else ranges.push([cpu, cpu]);
  }
  const texts = ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`));
  return texts.join(',') || 'none';
}

export function vcpuSections(details: VcpuDetails): string[] {
  const { vcpu, registers, descriptors, capabilities, x2apic, intinfo } = details;
  const of = (what: string) => `${what} of vCPU ${vcpu}`;
  return [
    section(of('registers'), Object.entries(registers).map(registerRow)),
    section(
      of('descriptors'),
      Object.entries(descriptors).map(([name, { base, limit, access }]) => [
        name,
        `base ${hex(base)}, limit ${hex(limit)}, access ${hex(access)}`,
      ]),
    ),
    section(of('capabilities'), [
      ...Object.entries(capabilities).map(([name, value]): Row => [name, value]),
      ['x2apic', x2apic ? 1 : 0],
    ]),
    section(of('events'), [
      ['exiting', hex(intinfo.info1)],
      ['waiting', hex(intinfo.info2)],
    ]),
  ];
}

function registerRow([name, value]: [string, bigint | null]): Row {
  return [name, value === null ? null : hex(value)];
}

function hex(value: bigint | number): string {
  return `0x${value.toString(16)}`;
}
