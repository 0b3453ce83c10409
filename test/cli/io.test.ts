import t from 'tap';
import { colorLevel } from '../../src/cli/io.js';
import { painter } from '../../src/cli/paint.js';

t.test('colour is a matter of the terminal and the environment', async (t) => {
  t.equal(colorLevel({}, false), 0);
  t.equal(colorLevel({}, true), 1);
  t.equal(colorLevel({ TERM: 'xterm-256color' }, true), 2);
  t.equal(colorLevel({ COLORTERM: 'truecolor' }, true), 3);
  t.equal(colorLevel({ TERM: 'dumb' }, true), 0);
  t.equal(colorLevel({ NO_COLOR: '1' }, true), 0);
  t.equal(colorLevel({ NO_COLOR: '' }, true), 1);
  t.equal(colorLevel({ NO_COLOR: '1', FORCE_COLOR: '1' }, true), 0);
  t.equal(colorLevel({ FORCE_COLOR: '' }, false), 1);
  t.equal(colorLevel({ FORCE_COLOR: '3' }, false), 3);
  t.equal(colorLevel({ FORCE_COLOR: '0' }, true), 0);
  t.equal(colorLevel({ CLICOLOR_FORCE: '1', TERM: 'dumb' }, false), 1);
  t.equal(colorLevel({ CLICOLOR_FORCE: '0' }, false), 0);
  t.equal(colorLevel({ CLICOLOR: '0' }, true), 0);
});

t.test('the painter obeys the level, whatever the environment says', async (t) => {
  t.equal((await painter(0)).bold('x'), 'x');
  t.equal((await painter(1)).bold('x'), '\u001b[1mx\u001b[22m');
});
