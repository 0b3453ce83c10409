import t from 'tap';
import {
  _IO,
  _IOC,
  _IOR,
  _IOW,
  _IOWR,
  IOCPARM_MASK,
  ioctl,
  ioctlParts,
} from '../../../src/core/abi/freebsd-ioctl.js';
import { u32 } from '../../../src/core/abi/layout.js';

t.test('numbers are made of direction, size, group and number, and are unsigned', async (t) => {
  t.equal(_IO('v', 5), 0x20007605);
  t.equal(_IOR('v', 64, { size: 8 }), 0x40087640);
  t.equal(_IOW('v', 63, { size: 8 }), 0x8008763f);
  t.equal(_IOWR('V', 0, { size: 296 }), 0xc1285600);
});

t.test('a number is taken apart again', async (t) => {
  const parts = ioctlParts(0xc1285600);
  t.strictSame(parts, { direction: 'inout', size: 296, group: 'V', nr: 0 });
  t.equal(ioctlParts(0x20007605).direction, 'void');
  t.equal(ioctlParts(0x7605).direction, undefined);
});

t.test('a part that does not fit is a RangeError', async (t) => {
  t.throws(() => _IOC('in', 'v', 256, 0), RangeError);
  t.throws(() => _IOC('in', 'v', -1, 0), RangeError);
  t.throws(() => _IOC('in', 'v', 1, IOCPARM_MASK + 1), RangeError);
  t.throws(() => _IOC('in', 'vm', 1, 0), RangeError);
  t.throws(() => _IOC('in', '', 1, 0), RangeError);
  t.throws(() => _IOC('in', '\u0394', 1, 0), RangeError);
});

t.test('a row knows the size of its argument', async (t) => {
  const row = ioctl('X', 'x', 1, 'in', u32);
  t.match(row, { name: 'X', group: 'x', nr: 1, direction: 'in', size: 4, number: 0x80047801 });
  t.equal(ioctl('Y', 'x', 2, 'void', null).size, 0);
});
