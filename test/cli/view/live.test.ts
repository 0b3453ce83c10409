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
