/** What `suspend`, `resume`, `reset` and `poweroff` have in common. */
import type { VmmctlCommand } from '../cli/command.js';
import { args, option } from '../cli/flags.js';
import { parseInteger } from '../cli/parse.js';
import { SystemError } from '../core/abi/errno.js';
import { kvmOf } from '../core/client/kvm-choice.js';
import type { PowerAction } from '../core/client/vm-power.js';
import { LAST_VCPU } from './vcpu-number.js';
import { vmBackend } from './vm-backend.js';
import { vmName, withNearNames } from './vm-name.js';

export const POWER_ARGS = {
  name: args({ summary: 'names of VMs', required: true, convert: vmName }),
};

/** Of those that act on single vCPUs too. */
export const POWER_FLAGS = {
  vcpu: option({
    summary: 'only that vCPU',
    helpValue: 'N',
    convert: parseInteger(0, LAST_VCPU),
  }),
};

/**
 * Does something to each VM that is named; one that fails does not keep it from the others.
 * @param done what is said of each that it was done to, and of all of them with `--json`.
 */
export async function actOnVms(
  command: VmmctlCommand,
  names: readonly string[],
  action: PowerAction,
  done: string,
): Promise<void> {
  const backend = await vmBackend(command);
  if (await kvmOf(backend)) {
    throw new SystemError('EOPNOTSUPP', {
      message: 'VMs of KVM have no state that could be changed: they run while somebody runs them',
      hint: "'vmmctl run' begins with an image anew; 'vmmctl destroy' ends a VM",
    });
  }
  const acted: string[] = [];
  for (const name of new Set(names)) {
    try {
      await action(backend, name, { signal: command.signal });
      acted.push(name);
      command.verbose(`${name}: ${done}`);
    } catch (error) {
      command.fail(await withNearNames(error, backend, name));
    }
  }
  if (command.flags.json && command.status === 0) command.json({ [done]: acted });
}
