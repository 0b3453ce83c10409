import t from 'tap';
import { type Column, renderRow, renderTable } from '../../../src/cli/view/table.js';

interface Row {
  name: string;
  size: number;
}
const columns: Column<Row>[] = [
  { name: 'name', text: (row) => row.name },
  { name: 'size', text: (row) => String(row.size), align: 'right' },
];
const rows: Row[] = [
  { name: 'web1', size: 5 },
  { name: 'a\u001b[31mb', size: 1000 },
];
const pipe = { terminal: false, width: 80, color: 0 } as const;

t.test('in a pipe a table is aligned plain text', async (t) => {
  const text = await renderTable(rows, columns, pipe);
  t.equal(text, 'NAME        SIZE\nweb1           5\na\\x1b[31mb  1000\n');
  t.equal(await renderTable(rows.slice(0, 1), columns, { ...pipe, header: false }), 'web1  5\n');
  t.equal(await renderTable([], columns, { ...pipe, header: false }), '');
  t.equal(renderRow({ name: 'x', size: 1 }, columns), 'x  1');
});

t.test('in a pipe nothing is cut', async (t) => {
  const name = 'x'.repeat(300);
  t.match(await renderTable([{ name, size: 1 }], columns, { ...pipe, width: 20 }), name);
});

t.test('on a terminal headings are bold and wide columns are cut', async (t) => {
  const screen = { terminal: true, width: 20, color: 1 } as const;
  const text = await renderTable([{ name: 'x'.repeat(40), size: 1 }], columns, screen);
  t.match(text, '\u001b[1mNAME\u001b[22m');
  const lines = text.trimEnd().split('\n');
  t.equal(lines.length, 2, 'one line for each row');
  t.ok((lines[1] ?? '').length <= 20, text);
});

t.test('on a terminal without colour there is none', async (t) => {
  const text = await renderTable(rows, columns, { terminal: true, width: 80, color: 0 });
  t.notMatch(text, '\u001b');
  t.match(text, /^NAME +SIZE$/m);
});
