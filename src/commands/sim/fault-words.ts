/** Faults as they are typed and shown. */
import { UsageError } from '../../cli/errors.js';
import { parseDuration } from '../../cli/parse.js';
import { didYouMean } from '../../cli/suggest.js';
import type { Column } from '../../cli/view/table.js';
import { FAULT_KINDS, type FaultKind, findFault } from '../../core/client/faults.js';

/** @throws UsageError for a kind that there is not. */
export function faultKind(kind: string): FaultKind {
  const found = findFault(kind);
  if (found) return found;
  const kinds = FAULT_KINDS.map((each) => each.kind);
  const list = `the kinds are ${kinds.join(', ')}`;
  throw new UsageError(`'${kind}' is no kind of fault`, didYouMean(kind, kinds, list));
}

const VALUE_NAMES = { none: undefined, ms: 'DURATION', share: 'SHARE' } as const;

/** As help writes it: `KIND`, `KIND=DURATION` or `KIND=SHARE`. */
export function faultUsage({ kind, value }: FaultKind): string {
  const name = VALUE_NAMES[value];
  return name === undefined ? kind : `${kind}=${name}`;
}

/** `KIND`, `KIND=100ms` or `KIND=5%`, as its kind wants it. */
export function parseFault(text: string): { kind: string; value?: number } {
  const [word = '', given] = text.split(/=(.*)/s);
  const found = faultKind(word);
  const { kind, value } = found;
  if (value === 'none') {
    if (given !== undefined) throw new UsageError(`${kind} takes no value`);
    return { kind };
  }
  if (!given) throw new UsageError(`${kind} needs a value`, `write ${faultUsage(found)}`);
  return { kind, value: value === 'ms' ? parseDuration(given) : parseShare(given) };
}

/** `0.05` or `5%`. */
function parseShare(text: string): number {
  const [, number, percent] = /^(\d+(?:\.\d+)?)(%?)$/.exec(text) ?? [];
  const share = Number(number ?? Number.NaN) / (percent ? 100 : 1);
  if (share >= 0 && share <= 1) return share;
  throw new UsageError(`'${text}' is not a share`, 'a share is from 0 to 1, or from 0% to 100%');
}

export function faultColumns(): Column<FaultKind>[] {
  return [
    { name: 'kind', text: faultUsage },
    { name: 'what', text: ({ summary }) => summary },
  ];
}
