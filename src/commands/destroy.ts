/** `vmmctl destroy`: ends VMs for good. */
import { VmmctlCommand } from '../cli/command.js';
import { UsageError } from '../cli/errors.js';
import { args, flag } from '../cli/flags.js';
import { vmNames } from '../core/client/vm.js';
import { destroyVms } from '../core/client/vm-destroy.js';
import { vmBackend } from './vm-backend.js';
import { vmName, withNearNames } from './vm-name.js';

export default class Destroy extends VmmctlCommand<typeof Destroy> {
  static override summary = 'destroy VMs';
  static override description =
    'Open connections to the VMs are reset. A name that is not known gives status 3; the other VMs are\n' +
    'destroyed all the same.';
  static override examples = [
    { description: 'Destroy two VMs', command: 'vmmctl destroy web1 web2' },
    {
      description: 'Destroy all of a simulated host',
      command: 'vmmctl destroy --all --backend sim',
    },
  ];
  static override bounded = true;
  static override args = { name: args({ summary: 'names of VMs', convert: vmName }) };
  static override flags = {
    all: flag({ summary: 'destroy every VM' }),
  };

  async run(): Promise<void> {
    const { all } = this.flags;
    if (all && this.args.name.length > 0) throw new UsageError('--all takes no names');
    if (!all && this.args.name.length === 0) {
      throw new UsageError('NAME is missing', 'name the VMs, or give --all');
    }
    const backend = await vmBackend(this);
    const names = all ? await vmNames(backend) : [...new Set(this.args.name)];
    const failures: { name: string; error: unknown }[] = [];
    const destroyed = await destroyVms(
      backend,
      names,
      (name, error) => failures.push({ name, error }),
      { signal: this.signal },
    );
    for (const name of destroyed) this.verbose(`destroyed ${name}`);
    for (const { name, error } of failures) this.fail(await withNearNames(error, backend, name));
    if (this.flags.json && failures.length === 0) this.json({ destroyed });
  }
}
