import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import {
  decodeName,
  encodeName,
  VM_MAX_NAMELEN,
  VMMCTL_CREATE_DESTROY_ON_CLOSE,
  VMMCTL_IOCTLS,
  vmmctl_vm_create,
  vmmctl_vm_create_v1,
} from '../../../src/core/abi/vmmctl.js';

t.test('a name may be 229 bytes long', async (t) => {
  t.equal(VM_MAX_NAMELEN, 229);
  t.equal(vmmctl_vm_create.decode(new Uint8Array(296)).name.length, 230);
});

t.test('the flags are where FreeBSD 15.0 had the first reserved word', async (t) => {
  const data = vmmctl_vm_create.encode({ flags: VMMCTL_CREATE_DESTROY_ON_CLOSE });
  t.equal(vmmctl_vm_create_v1.decode(data).reserved[0], 1);
  t.equal(vmmctl_vm_create_v1.size, VMMCTL_IOCTLS.VMMCTL_VM_CREATE.size);
});

t.test('a name ends at its terminator, or at the end of the bytes', async (t) => {
  t.equal(decodeName(Uint8Array.of(0x61, 0, 0x62)), 'a');
  t.equal(decodeName(Uint8Array.of(0x61, 0x62)), 'ab');
  t.equal(decodeName(new Uint8Array(4)), '');
});

t.test('names are UTF-8', async (t) => {
  t.strictSame([...encodeName('caf\u00e9')], [0x63, 0x61, 0x66, 0xc3, 0xa9]);
  t.equal(decodeName(encodeName('\ud83d\udc36')), '\ud83d\udc36');
  t.equal(decodeName(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61)), '\ufeffa', 'a byte order mark stays');
});

t.test('bytes that are no UTF-8 survive, and differ where the bytes differ', async (t) => {
  const one = decodeName(Uint8Array.of(0x61, 0xff, 0xc3));
  const other = decodeName(Uint8Array.of(0x61, 0xfe, 0xc3));
  t.not(one, other);
  t.strictSame([...encodeName(one)], [0x61, 0xff, 0xc3]);
});

t.test('any bytes without a zero come back as they were', async () => {
  const byte = fc.integer({ min: 1, max: 255 });
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 40 }), (list) => {
      const data = Uint8Array.from(list);
      assert.deepEqual([...encodeName(decodeName(data))], list);
    }),
  );
});
