import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { _IO, _IOC, _IOR, _IOW, _IOWR, ioctlParts } from '../../../src/core/abi/linux-ioctl.js';
import { requireFile, requireTool } from '../../helpers/requires.js';

t.test('the macros of <linux/ioctl.h> give the same numbers', async (t) => {
  if (!requireTool(t, 'cc')) return;
  if (!requireFile(t, '/usr/include/linux/ioctl.h', "the kernel's headers for programs")) return;
  const directory = t.testdir();
  const source = join(directory, 'ioctl.c');
  const binary = join(directory, 'ioctl');
  writeFileSync(
    source,
    `#include <stdio.h>
#include <linux/ioctl.h>
struct most { char bytes[16383]; };
int main(void)
{
  printf("%u %u %u ", _IO(0xaf, 1), _IOR(0xaf, 0, long long), _IOW('V', 0x61, int));
  printf("%u %u\\n", _IOWR('k', 255, struct most), _IOC(3, 255, 255, 16383));
  return 0;
}
`,
  );
  execFileSync('cc', ['-o', binary, source]);
  const found = execFileSync(binary, { encoding: 'utf8' }).trim().split(' ').map(Number);
  t.strictSame(found, [
    _IO(0xaf, 1),
    _IOR(0xaf, 0, { size: 8 }),
    _IOW(0x56, 0x61, { size: 4 }),
    _IOWR(0x6b, 255, { size: 16383 }),
    _IOC(3, 255, 255, 16383),
  ]);
});

t.test('known numbers come out, unsigned', async (t) => {
  t.equal(_IOR(0xaf, 0, { size: 8 }), 0x8008af00, 'VHOST_GET_FEATURES');
  t.equal(_IOW(0xaf, 0x60, { size: 8 }), 0x4008af60, 'VHOST_VSOCK_SET_GUEST_CID');
  t.equal(_IO(7, 0xb9), 0x7b9, 'IOCTL_VM_SOCKETS_GET_LOCAL_CID');
});

t.test('a number is taken apart again', async (t) => {
  t.strictSame(ioctlParts(0x8008af00), { direction: 2, type: 0xaf, nr: 0, size: 8 });
  t.strictSame(ioctlParts(0xffffffff), { direction: 3, type: 0xff, nr: 0xff, size: 16383 });
});

t.test('a part that does not fit is a RangeError', async (t) => {
  t.throws(() => _IOC(4, 0, 0, 0), RangeError);
  t.throws(() => _IOC(0, 256, 0, 0), RangeError);
  t.throws(() => _IOC(0, 0, 256, 0), RangeError);
  t.throws(() => _IOC(0, 0, 0, 16384), RangeError);
  t.throws(() => _IOC(0, 0, 0, 1.5), RangeError);
});
