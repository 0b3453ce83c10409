/** Which memory an ioctl has. */
import t from 'tap';
import { HGCMFunctionParameter32 } from '../../../../src/core/abi/hgcm.js';
import {
  VBG_IOCTL_CHECK_BALLOON,
  VBG_IOCTL_HGCM_CALL_32,
  VBG_IOCTL_HGCM_CALL_64,
  VBG_IOCTL_LOG,
  VBG_IOCTL_VMMDEV_REQUEST,
  vbg_ioctl_hdr,
  vbg_ioctl_hgcm_call,
} from '../../../../src/core/abi/vboxguest.js';
import { VMM_IOCTLS } from '../../../../src/core/abi/vmm.js';
import { VMMCTL_VM_CREATE } from '../../../../src/core/abi/vmmctl.js';
import {
  checkTransfer,
  freebsdRanges,
  vboxRanges,
} from '../../../../src/core/export/cuse/ranges.js';
import { buffer, callBytes, value } from './guest.js';

const NOTHING = new Uint8Array(0);
const AT = 0x1000n;
const argument = (length: number) => ({ base: AT, length });

t.test('of FreeBSD', async (t) => {
  const both = { into: [argument(296)], out: [argument(296)] };
  t.strictSame(freebsdRanges(VMMCTL_VM_CREATE, AT, NOTHING), both);
  const { VM_SET_TOPOLOGY, VM_GET_TOPOLOGY, VM_REINIT } = VMM_IOCTLS;
  t.strictSame(freebsdRanges(VM_SET_TOPOLOGY.number, AT, NOTHING), {
    into: [argument(8)],
    out: [],
  });
  t.strictSame(freebsdRanges(VM_GET_TOPOLOGY.number, AT, NOTHING), {
    into: [],
    out: [argument(8)],
  });
  t.strictSame(freebsdRanges(VM_REINIT.number, AT, NOTHING), { into: [], out: [] });
  t.strictSame(freebsdRanges(0xc0000000, AT, NOTHING), { into: [], out: [] }, 'both ways, no size');
});

t.test('of the guest device, by the number', async (t) => {
  const whole = { into: [argument(32)], out: [argument(32)] };
  t.strictSame(vboxRanges(VBG_IOCTL_CHECK_BALLOON, AT, NOTHING), whole);
  const short = { into: [argument(24)], out: [] };
  t.strictSame(vboxRanges(VBG_IOCTL_VMMDEV_REQUEST(23), AT, NOTHING), short);
});

t.test('of the guest device, by the header', async (t) => {
  const header = (fields: object) => vbg_ioctl_hdr.encode({ version: 0x10001, ...fields });
  const ranges = (fields: object) => vboxRanges(VBG_IOCTL_LOG, AT, header(fields));
  t.strictSame(vboxRanges(VBG_IOCTL_LOG, AT, NOTHING), { into: [argument(24)], out: [] });
  t.strictSame(ranges({ size_in: 40, size_out: 24 }), {
    into: [argument(40)],
    out: [argument(24)],
  });
  const told = { into: [argument(40)], out: [argument(40)] };
  t.strictSame(ranges({ size_in: 40, size_out: 0 }), told, 'as much as came in');
  t.strictSame(ranges({ size_in: 23 }), { into: [argument(24)], out: [] });
  t.strictSame(ranges({ size_in: 40, version: 2 }), { into: [argument(24)], out: [] });
});

t.test('the buffers of HGCM', async (t) => {
  const parameters = [
    buffer('LinAddr_In', 0x2000n, 5),
    value(1),
    buffer('LinAddr_Out', 0x3000n, 6),
    buffer('LinAddr', 0x4000n, 7),
    buffer('LinAddr', 0x5000n, 0),
  ];
  const bytes = callBytes(1, 1, parameters);
  const request = VBG_IOCTL_HGCM_CALL_64(bytes.length);
  const first = { into: [argument(bytes.length)], out: [argument(bytes.length)] };
  t.strictSame(vboxRanges(request, AT, NOTHING), first);
  t.strictSame(vboxRanges(request, AT, bytes.subarray(1)), first, 'not all of it');
  const [sent, taken, both] = [
    { base: 0x2000n, length: 5 },
    { base: 0x3000n, length: 6 },
    { base: 0x4000n, length: 7 },
  ] as const;
  const second = {
    into: [argument(bytes.length), sent, taken, both],
    out: [argument(bytes.length), taken, both],
  };
  t.strictSame(vboxRanges(request, AT, bytes), second);
  t.strictSame(vboxRanges(request, AT, Buffer.concat([bytes, new Uint8Array(18)])), second);

  const many = callBytes(1, 1, Array(33).fill(buffer('LinAddr', 0x2000n, 1)));
  t.equal(vboxRanges(VBG_IOCTL_HGCM_CALL_64(many.length), AT, many).into.length, 1, 'refused');
  const cut = bytes.subarray(0, bytes.length - 1);
  t.equal(vboxRanges(VBG_IOCTL_HGCM_CALL_64(cut.length), AT, cut).into.length, 1, 'refused');
  const tiny = VBG_IOCTL_HGCM_CALL_64(24);
  t.equal(vboxRanges(tiny, AT, bytes.subarray(0, 24)).into.length, 1, 'refused');
});

t.test('the buffers of HGCM, of a 32-bit program', async (t) => {
  const parameter = HGCMFunctionParameter32.encode({ type: 5, size: 9, linearAddr: 0xfffff000 });
  const call = vbg_ioctl_hgcm_call.encode({ parm_count: 1 });
  const bytes = Buffer.concat([call, parameter]);
  const { into, out } = vboxRanges(VBG_IOCTL_HGCM_CALL_32(bytes.length), AT, bytes);
  t.strictSame(into, [argument(bytes.length), { base: 0xfffff000n, length: 9 }]);
  t.strictSame(out, [argument(bytes.length)]);
});

t.test('limits of a transfer', async (t) => {
  const pages = 32 * 4096;
  checkTransfer({ into: [argument(pages)], out: [argument(pages)] });
  const halves = [argument(pages / 2), argument(pages / 2 + 1)];
  t.throws(() => checkTransfer({ into: halves, out: [] }), { code: 'ENOMEM' });
  t.throws(() => checkTransfer({ into: [], out: halves }), { code: 'ENOMEM' });
  const ranges = Array(129).fill(argument(1));
  t.throws(() => checkTransfer({ into: ranges, out: ranges }), { code: 'ENOMEM' });
});
