/** VM names as arguments of commands. */
import { UsageError } from '../cli/errors.js';
import { closest } from '../cli/suggest.js';
import { SystemError } from '../core/abi/errno.js';
import type { Backend } from '../core/backend/port.js';
import { nameProblem } from '../core/client/names.js';
import { vmNames } from '../core/client/vm.js';

/** Of a VM's node: a VM is named, and never opened by a path. */
const VM_PATH = /^\/dev\/vmm\/(.+)$/;

/** @throws UsageError for a name that can't be told from something else. */
export function vmName(text: string): string {
  const problem = nameProblem(text);
  if (problem !== undefined) {
    const named = VM_PATH.exec(text)?.[1];
    const rule = 'a name is letters, digits, - _ . and begins with a letter';
    throw new UsageError(problem, named === undefined ? rule : `give its name: ${named}`);
  }
  return text;
}

/** Adds to an ENOENT about a VM the names that may have been meant. */
export async function withNearNames(
  error: unknown,
  backend: Backend,
  name: string,
): Promise<unknown> {
  if (!(error instanceof SystemError) || error.code !== 'ENOENT') return error;
  const near = closest(name, await vmNames(backend).catch((): string[] => []));
  const list = near.map((each) => `'${each}'`).join(' or ');
  const hint = near.length > 0 ? `did you mean ${list}?` : "'vmmctl list' shows the VMs";
  return new SystemError('ENOENT', { message: error.message, hint, cause: error.cause });
}
