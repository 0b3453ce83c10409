/** How a VM is shown: its columns, its fields, its changes. */
import { UsageError } from '../cli/errors.js';
import { formatAge, formatSize, parseWords } from '../cli/parse.js';
import { didYouMean } from '../cli/suggest.js';
import type { Column } from '../cli/view/table.js';
import type { VmRecord } from '../core/backend/port/vm.js';

/** The fields of `list --json`, which are those of `--format` too. */
export const VM_FIELDS = [
  'name',
  'state',
  'cpus',
  'memory',
  'cid',
  'lifetime',
  'createdAt',
  'labels',
  'reason',
] as const;

interface VmColumn {
  text(vm: VmRecord, now: number): string;
  /** What it is sorted by. */
  key(vm: VmRecord): string | number;
  align?: 'right';
}

const NONE = '-';
const UNKNOWN_LAST = Number.POSITIVE_INFINITY;

const COLUMNS = {
  name: { text: (vm) => vm.name, key: (vm) => vm.name },
  state: { text: (vm) => vm.state ?? NONE, key: (vm) => vm.state ?? '' },
  reason: { text: (vm) => vm.reason ?? NONE, key: (vm) => vm.reason ?? '' },
  cpus: {
    text: (vm) => String(vm.cpus ?? NONE),
    key: (vm) => vm.cpus ?? UNKNOWN_LAST,
    align: 'right',
  },
  memory: {
    text: (vm) => (vm.memory === null ? NONE : formatSize(vm.memory)),
    key: (vm) => vm.memory ?? UNKNOWN_LAST,
    align: 'right',
  },
  cid: {
    text: (vm) => String(vm.cid ?? NONE),
    key: (vm) => vm.cid ?? UNKNOWN_LAST,
    align: 'right',
  },
  lifetime: { text: (vm) => vm.lifetime ?? NONE, key: (vm) => vm.lifetime ?? '' },
  age: {
    text: (vm, now) => (vm.createdAt === null ? NONE : formatAge(now - Date.parse(vm.createdAt))),
    // The youngest first.
    key: (vm) => (vm.createdAt === null ? UNKNOWN_LAST : -Date.parse(vm.createdAt)),
    align: 'right',
  },
  created: { text: (vm) => vm.createdAt ?? NONE, key: (vm) => vm.createdAt ?? '' },
  labels: { text: labelText, key: labelText },
} as const satisfies Record<string, VmColumn>;

export type VmColumnName = keyof typeof COLUMNS;

export const DEFAULT_COLUMNS: readonly VmColumnName[] = [
  'name',
  'state',
  'reason',
  'cpus',
  'memory',
  'cid',
  'lifetime',
  'age',
];

export function columnsOf(names: readonly VmColumnName[], now: number): Column<VmRecord>[] {
  return names.map((name) => {
    const column: VmColumn = COLUMNS[name];
    const text = (vm: VmRecord) => column.text(vm, now);
    return { name, text, align: column.align ?? 'left' };
  });
}

export function columnName(text: string): VmColumnName {
  const name = text.toLowerCase();
  if (Object.hasOwn(COLUMNS, name)) return name as VmColumnName;
  const names = Object.keys(COLUMNS);
  const list = `the columns are ${names.join(', ')}`;
  throw new UsageError(`no column '${text}' (${list})`, didYouMean(name, names, list));
}

export function columnNames(text: string): VmColumnName[] {
  const names = parseWords(text).map(columnName);
  if (names.length === 0) throw new UsageError('no column is named');
  return names;
}

export function compareBy(name: VmColumnName): (a: VmRecord, b: VmRecord) => number {
  const { key } = COLUMNS[name];
  return (a, b) => {
    const [x, y] = [key(a), key(b)];
    return x < y ? -1 : x > y ? 1 : 0;
  };
}

/** `K=V`, or `K` alone for a label of any value. */
export type LabelFilter = readonly [key: string, value: string | undefined];

export function labelFilter(text: string): LabelFilter {
  const [key = '', value] = text.split(/=(.*)/s);
  if (key === '') throw new UsageError(`'${text}' is not a label`, 'a label is KEY=VALUE or KEY');
  return [key, value];
}

export function hasLabels(vm: VmRecord, wanted: readonly LabelFilter[]): boolean {
  return wanted.every(
    ([key, value]) =>
      Object.hasOwn(vm.labels, key) && (value === undefined || vm.labels[key] === value),
  );
}

export interface Change {
  change: 'added' | 'changed' | 'removed';
  vm: VmRecord;
}

/** What is different between two lists; a VM of the same name made anew counts as changed. */
export function changesBetween(before: readonly VmRecord[], after: readonly VmRecord[]): Change[] {
  const old = new Map(before.map((vm) => [vm.name, vm]));
  const changes: Change[] = [];
  for (const vm of after) {
    const was = old.get(vm.name);
    old.delete(vm.name);
    if (!was) changes.push({ change: 'added', vm });
    else if (JSON.stringify(was) !== JSON.stringify(vm)) changes.push({ change: 'changed', vm });
  }
  return [...changes, ...[...old.values()].map((vm) => ({ change: 'removed' as const, vm }))];
}

function labelText(vm: VmRecord): string {
  const pairs = Object.entries(vm.labels).map(([key, value]) => `${key}=${value}`);
  return pairs.length === 0 ? NONE : pairs.join(',');
}
