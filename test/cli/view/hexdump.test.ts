import t from 'tap';
import { hexdump } from '../../../src/cli/view/hexdump.js';

t.test('bytes stand sixteen in a line, in two halves, behind their offset', async (t) => {
  const bytes = Uint8Array.from({ length: 27 }, (_, i) => i * 9);
  t.equal(
    hexdump(bytes, '  '),
    [
      '  0000  00 09 12 1b 24 2d 36 3f  48 51 5a 63 6c 75 7e 87',
      '  0010  90 99 a2 ab b4 bd c6 cf  d8 e1 ea',
      '',
    ].join('\n'),
  );
  t.equal(hexdump(Uint8Array.of(0xff)), '0000  ff\n');
  t.equal(hexdump(new Uint8Array(0)), '');
});
