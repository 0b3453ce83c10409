/** `vmmctl list`: the VMs as a table, by a template, or as JSON; once or at each change. */
import { VmmctlCommand } from '../cli/command.js';
import { flag, option, optionOr, options } from '../cli/flags.js';
import { LiveBlock } from '../cli/view/live.js';
import { type Column, renderRow, renderTable } from '../cli/view/table.js';
import { compileTemplate, type Template } from '../cli/view/template.js';
import { SystemError } from '../core/abi/errno.js';
import type { VmRecord } from '../core/backend/port/vm.js';
import { listVms, sortByName } from '../core/client/vm.js';
import { vmBackend } from './vm-backend.js';
import {
  changesBetween,
  columnName,
  columnNames,
  columnsOf,
  compareBy,
  DEFAULT_COLUMNS,
  hasLabels,
  labelFilter,
  VM_FIELDS,
} from './vm-view.js';

export default class List extends VmmctlCommand<typeof List> {
  static override summary = 'list the VMs';
  static override description =
    'A table on a terminal and in a pipe; scripts take --json, --format or --columns with --no-header.';
  static override examples = [
    { description: 'Show all VMs', command: 'vmmctl list' },
    {
      description: 'Names and CIDs, for a script',
      command: "vmmctl list --format '{{.name}} {{.cid}}'",
    },
    {
      description: 'Watch the VMs that have a label',
      command: 'vmmctl list --watch --label tier=web',
    },
  ];
  static override bounded = true;
  static override flags = {
    watch: flag({ char: 'w', summary: 'go on, and show each change' }),
    format: option({ summary: 'print each VM by a template', helpValue: 'TEMPLATE' }),
    columns: optionOr(DEFAULT_COLUMNS.join(','), {
      summary: 'which columns, in which order',
      helpValue: 'A,B',
      convert: columnNames,
    }),
    sort: optionOr('name', { summary: 'sort by a column', helpValue: 'COL', convert: columnName }),
    'no-header': flag({ summary: 'leave the headings out' }),
    label: options({
      summary: 'only VMs with that label (repeatable)',
      helpValue: 'K=V',
      convert: labelFilter,
    }),
  };

  async run(): Promise<void> {
    const { format } = this.flags;
    const template = format === undefined ? undefined : compileTemplate(format, VM_FIELDS);
    const backend = await vmBackend(this);
    if (!this.flags.watch) {
      const vms = await listVms(backend, { signal: this.signal });
      return this.#show(this.#select(vms), template);
    }
    if (!backend.management) {
      throw new SystemError('EOPNOTSUPP', { message: `'${backend.uri}' does not tell of changes` });
    }
    this.endWithReader();
    const lists = backend.management.watch({ signal: this.signal });
    const live = this.io.isTty.stdout && !this.flags.json && !template;
    return live ? this.#watchLive(lists) : this.#watchLines(lists, template);
  }

  #select(vms: readonly VmRecord[]): VmRecord[] {
    const wanted = sortByName(vms).filter((vm) => hasLabels(vm, this.flags.label));
    return this.flags.sort === 'name' ? wanted : wanted.sort(compareBy(this.flags.sort));
  }

  async #show(vms: readonly VmRecord[], template: Template<string> | undefined): Promise<void> {
    if (this.flags.json) return this.json(vms);
    if (template) return this.out(vms.map((vm) => `${template({ ...vm })}\n`).join(''));
    if (this.flags.quiet)
      return this.out(vms.map((vm) => `${renderRow(vm, this.#names)}\n`).join(''));
    await this.table(vms, this.#columns, { header: !this.flags['no-header'] });
    if (vms.length === 0 && this.io.isTty.stderr) this.note('no VMs; make one: vmmctl create NAME');
  }

  async #watchLive(lists: AsyncIterable<VmRecord[]>): Promise<void> {
    const block = new LiveBlock(this.io.stdout);
    const { width, color } = this.io;
    const header = !this.flags['no-header'];
    try {
      for await (const vms of lists) {
        const look = { terminal: true, width, color: color.stdout, header };
        block.draw(await renderTable(this.#select(vms), this.#columns, look));
      }
    } finally {
      block.end();
    }
  }

  async #watchLines(
    lists: AsyncIterable<VmRecord[]>,
    template: Template<string> | undefined,
  ): Promise<void> {
    let before: VmRecord[] | undefined;
    for await (const all of lists) {
      const vms = this.#select(all);
      const changes = changesBetween(before ?? [], vms);
      if (this.flags.json && (changes.length > 0 || !before)) this.json(vms, false);
      for (const { change, vm } of this.flags.json ? [] : changes) {
        const shown = template ? template({ ...vm }) : `${change}  ${renderRow(vm, this.#columns)}`;
        if (!template || change !== 'removed') this.out(`${shown}\n`);
      }
      before = vms;
    }
  }

  get #columns(): Column<VmRecord>[] {
    return columnsOf(this.flags.columns, this.io.now());
  }

  get #names(): Column<VmRecord>[] {
    return columnsOf(['name'], this.io.now());
  }
}
