import t from 'tap';
import { ioctl } from '../../../../src/core/abi/freebsd-ioctl.js';
import { i32, struct, u8, u32 } from '../../../../src/core/abi/layout.js';
import {
  dispatch,
  prepare,
  row,
  run,
  table,
  voidRow,
} from '../../../../src/core/simulator/vmm/dispatch.js';
import { codeOf } from '../../../helpers/vmm.js';

const pair = struct('pair', { small: u8, large: u32 });
const OUT = ioctl('OUT', 'x', 1, 'out', pair);
const INOUT = ioctl('INOUT', 'x', 2, 'inout', pair);
const IN = ioctl('IN', 'x', 3, 'in', pair);
const INT = ioctl('INT', 'x', 4, 'inout', i32);
const VOID = ioctl('VOID', 'x', 5, 'void', null);

const seen: string[] = [];
const rows = table<string>([
  row(OUT, [], () => ({ large: 7 })),
  row(INOUT, ['LOCK_ONE_VCPU'], (_, { small }) => ({ small: small + 1 })),
  row(IN, [], (who, { large }) => {
    seen.push(`${who} ${large}`);
    return undefined;
  }),
  row(INT, [], (_, value) => Math.abs(value)),
  voidRow(VOID, [], (who) => seen.push(who)),
]);

t.test('only the fields that a handler answers are written', async (t) => {
  const argument = Uint8Array.of(1, 2, 3, 4, 5, 0, 0, 0, 9);
  const reply = dispatch(rows, 'me', INOUT.number, argument);
  t.strictSame(reply, { result: 0, data: Uint8Array.of(2, 2, 3, 4, 5, 0, 0, 0, 9) });
  t.equal(argument[0], 1, 'the caller\u2019s bytes are not changed in place');
});

t.test('what is only copied out starts as zeros', async (t) => {
  const { data } = dispatch(rows, 'me', OUT.number, new Uint8Array(8).fill(0xff));
  t.strictSame(data, Uint8Array.of(0, 0, 0, 0, 7, 0, 0, 0));
});

t.test('nothing is copied out of an ioctl that only takes', async (t) => {
  t.strictSame(dispatch(rows, 'me', IN.number, pair.encode({ large: 5 })), { result: 0 });
  t.equal(seen.pop(), 'me 5');
});

t.test('an argument that is no struct is read and written whole', async (t) => {
  const { data } = dispatch(rows, 'me', INT.number, Uint8Array.of(0xff, 0xff, 0xff, 0xff));
  t.strictSame(data, Uint8Array.of(1, 0, 0, 0));
});

t.test('an ioctl without an argument ignores what it is given', async (t) => {
  t.strictSame(dispatch(rows, 'me', VOID.number, 0), { result: 0 });
  t.strictSame(dispatch(rows, 'me', VOID.number, new Uint8Array(3)), { result: 0 });
  t.strictSame(seen.splice(0), ['me', 'me']);
});

t.test('the dispatcher of a table that waits sees the row and its argument first', async (t) => {
  const request = { request: INOUT.number, argument: new Uint8Array(8) };
  const { entry, call } = prepare(rows, 'me', request);
  t.strictSame([entry.flags, call.view.byteLength], [['LOCK_ONE_VCPU'], 8]);
  t.strictSame(run(entry, call), { result: 0, data: Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0) });
});

t.test('the number is looked up before the argument is looked at', async (t) => {
  t.equal(
    codeOf(() => dispatch(rows, 'me', 1, new Uint8Array(0))),
    'ENOTTY',
  );
  t.equal(
    codeOf(() => dispatch(rows, 'me', IN.number, new Uint8Array(7))),
    'EFAULT',
  );
  t.equal(
    codeOf(() => dispatch(rows, 'me', IN.number, 7)),
    'EFAULT',
  );
});
