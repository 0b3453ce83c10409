/** Who a FreeBSD host is, by its sysctls. */

import type { HostVersion } from '../backend/port/vm.js';
import type { Machine } from '../backend/port.js';
import { isOneOf } from './explain.js';

/** Shown as features, with their values; those that a kernel lacks are left out. */
const FEATURES = ['hw.vmm.maxcpu', 'hw.vmm.maxvmms', 'hw.vmm.ipinum'];

/** Undefined on a machine that has no such sysctls. */
export async function hostVersionBySysctl(machine: Machine): Promise<HostVersion | undefined> {
  const product = await read(machine, 'kern.ostype');
  if (product === undefined) return undefined;
  const version = (await read(machine, 'kern.osrelease')) ?? '';
  const revision = (await read(machine, 'kern.osreldate')) ?? '';
  const features: string[] = [];
  for (const name of FEATURES) {
    const value = await read(machine, name);
    if (value !== undefined) features.push(`${name}=${value}`);
  }
  return { product, version, revision, features };
}

async function read(machine: Machine, name: string): Promise<string | undefined> {
  try {
    return await machine.sysctl(name);
  } catch (error) {
    if (isOneOf(error, ['ENOENT', 'ENOSYS', 'EOPNOTSUPP', 'EPERM'])) return undefined;
    throw error;
  }
}
