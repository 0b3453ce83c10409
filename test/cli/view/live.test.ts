import { PassThrough } from 'node:stream';
import t from 'tap';
import { LiveBlock } from '../../../src/cli/view/live.js';

t.test('a block is drawn over the one before, and fits the terminal', async (t) => {
  const stream = Object.assign(new PassThrough(), { rows: 3 });
  const block = new LiveBlock(stream);
  block.draw('a\nb\nc\nd\n');
  t.equal(String(stream.read()), '\u001b[?25l\u001b[0Ja\nb\n');
  block.draw('x\n');
  t.equal(String(stream.read()), '\u001b[2A\r\u001b[0Jx\n');
  block.end();
  t.equal(String(stream.read()), '\u001b[?25h');
});

t.test('a block that was never drawn writes nothing', async (t) => {
  const stream = new PassThrough();
  new LiveBlock(stream).end();
  t.equal(stream.read(), null);
});

t.test('a terminal that has changed its width is drawn from its top', async (t) => {
  const stream = Object.assign(new PassThrough(), { rows: 5, columns: 80 });
  const block = new LiveBlock(stream);
  block.draw('a\nb\n');
  stream.columns = 40;
  block.draw('a\n');
  block.draw('b\n');
  t.equal(
    String(stream.read()),
    '\u001b[?25l\u001b[0Ja\nb\n\u001b[2J\u001b[H\u001b[0Ja\n\u001b[1A\r\u001b[0Jb\n',
  );
});

t.test('a line that is too long is cut, and its colours end', async (t) => {
  const stream = Object.assign(new PassThrough(), { rows: 5, columns: 4 });
  new LiveBlock(stream).draw('\u001b[1mab\u001b[22m▁▂▃\nabc\n');
  t.equal(String(stream.read()), '\u001b[?25l\u001b[0J\u001b[1mab\u001b[22m▁▂\nabc\n');
});
