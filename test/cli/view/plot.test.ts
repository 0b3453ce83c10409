import t from 'tap';
import { renderPlots, sparkline } from '../../../src/cli/view/plot.js';

t.test('a plot has a block for each value, and the newest at its right end', async (t) => {
  t.equal(sparkline({ values: [0, 1, 2, 3, 4, 5, 6, 7] }, 8), '▁▂▃▄▅▆▇█');
  t.equal(sparkline({ values: [7, 0, 7] }, 5), '  █▁█');
  t.equal(sparkline({ values: [7, 7, 7, 0, 7] }, 2), '▁█', 'what has no room is the oldest');
  t.equal(sparkline({ values: [] }, 3), '   ');
  t.equal(sparkline({ values: [1] }, 0), '');
});

t.test('only none at all has the lowest block', async (t) => {
  t.equal(sparkline({ values: [0, 0.001, 100] }, 3), '▁▂█');
  t.equal(sparkline({ values: [0, 0] }, 2), '▁▁', 'without any value that is more');
});

t.test('what is not known is a blank', async (t) => {
  t.equal(sparkline({ values: [null, 4, null, 4] }, 4), ' █ █');
});

t.test('the full block may stand for more than there is, and nothing is higher', async (t) => {
  t.equal(sparkline({ values: [0, 50], max: 100 }, 2), '▁▅');
  t.equal(sparkline({ values: [200, -1], max: 100 }, 2), '█▁');
});

t.test('plots fill the width of the terminal', async (t) => {
  const rows = [
    { name: 'a', values: [1, 2] },
    { name: 'long\u001b', values: [2] },
  ];
  const columns = [{ name: 'vm', text: (row: (typeof rows)[number]) => row.name }];
  const render = (width: number) => renderPlots(rows, columns, (row) => row, { width, color: 0 });
  const lines = (await render(30)).trimEnd().split('\n');
  t.match(lines[0], /^VM {8}HISTORY$/);
  t.match(lines[1], /^a {27}▅█$/);
  t.match(lines[2], /^long\\x1b {21}█$/, 'and control characters are escaped');
  t.same(
    lines.slice(1).map((line) => [...line].length),
    [30, 30],
  );
  t.match((await render(10)).trimEnd().split('\n')[1], /▅█$/, 'a narrow one has some of it too');
});
