/** How parameters of a call to a host service are shown when it has ended. */
import type { Column } from '../../cli/view/table.js';
import type { HgcmParameter } from '../../core/client/hgcm.js';

export const PARAMETER_COLUMNS: readonly Column<HgcmParameter>[] = [
  { name: 'type', text: ({ type }) => type },
  {
    name: 'size',
    align: 'right',
    text: (parameter) => ('data' in parameter ? String(parameter.data.length) : '-'),
  },
  { name: 'value', text: valueText },
];

/** A number, text where the bytes are such, or else the bytes in hex. */
export function valueText(parameter: HgcmParameter): string {
  if (!('data' in parameter)) return String(parameter.value);
  return plainText(parameter.data) ?? Buffer.from(parameter.data).toString('hex');
}

/** Numbers, and buffers that the service may have written to, in base64. */
export function parameterJson(parameter: HgcmParameter): Record<string, unknown> {
  if (!('data' in parameter)) return { type: parameter.type, value: parameter.value };
  const { type, data } = parameter;
  const base64 = Buffer.from(data).toString('base64');
  return { type, size: data.length, base64, text: plainText(data) ?? null };
}

/** The text before the NULs that fill a buffer; undefined for what is not text. */
function plainText(data: Uint8Array): string | undefined {
  const end = data.findLastIndex((byte) => byte !== 0) + 1;
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
      data.subarray(0, end),
    );
    return CONTROLS.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

/** All but tabs and ends of lines. */
const CONTROLS = /[\0-\u0008\u000b\u000c\u000e-\u001f\u007f]/;
