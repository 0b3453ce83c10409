/** Exits as bytes, and what is read of them: by hand where the header's layout counts, and whatever the bytes are. */
import fc from 'fast-check';
import t from 'tap';
import { vm_exit, vm_exit_grown } from '../../../src/core/abi/vmm-exit.js';
import { vm_exitcode } from '../../../src/core/abi/vmm-machine.js';
import { cpusOf, decodeExit } from '../../../src/core/client/exit-decode.js';
import { detailsOf } from '../../../src/core/client/exits.js';

/** struct vm_exit: code, inst_length 2, rip 0x1000, then the union. */
function exitBytes(code: number, union: string): Uint8Array {
  const data = new Uint8Array(vm_exit.size);
  const view = new DataView(data.buffer);
  view.setInt32(0, code, true);
  view.setInt32(4, 2, true);
  view.setBigUint64(8, 0x1000n, true);
  data.set(Buffer.from(union.replaceAll(/\s/g, ''), 'hex'), 16);
  return data;
}

const decode = (code: number, union = '') => decodeExit(3, exitBytes(code, union), [1, 2]);

t.test('every exit has its name, and what all have', async (t) => {
  for (const [name, code] of Object.entries(vm_exitcode)) {
    const exit = decode(code);
    const common = { exit: name.slice('VM_EXITCODE_'.length), vcpu: 3, rip: 0x1000n };
    t.match(exit, { ...common, instLength: 2 }, name);
    t.same(Object.keys(exit).slice(0, 4), ['exit', 'vcpu', 'rip', 'instLength']);
  }
  t.equal(decode(99).exit, '99', 'one that the header does not have');
  t.equal(decode(-1).exit, '-1');
});

t.test('exits without a payload have nothing more', async (t) => {
  const bare = [2, 6, 7, 11, 12, 17, 18, 20, 21, 22, 26, 99];
  for (const code of bare) t.same(detailsOf(decode(code, 'ff'.repeat(120))), [], String(code));
});

/** Kind, bytes of the union, fields. */
const PAYLOADS: [code: number, union: string, fields: Record<string, unknown>][] = [
  [
    0,
    '29 00 f8 03 41 00 00 00',
    { bytes: 1, in: true, string: false, rep: true, port: 0x3f8, eax: 0x41 },
  ],
  [0, '14 00 60 00 00 00 00 80', { bytes: 4, in: false, string: true, rep: false, port: 0x60 }],
  [
    1,
    '01000000 30000000 8101000000000000 05000000 07000000',
    { status: 1, exit_reason: 0x30, exit_qualification: 0x181n, inst_type: 5, inst_error: 7 },
  ],
  [3, '10000000 00000000 0000000000000000', { code: 0x10, wval: 0n }],
  [4, '800000c0 00000000 efcdab8967452301', { code: 0xc0000080, wval: 0x0123456789abcdefn }],
  [5, '0202000000000000 0100000000000000', { rflags: 0x202n, intr_status: 1n }],
  [8, '000000d000000000 02000000', { gpa: 0xd0000000n, fault_type: 2 }],
  [10, '01000000 00000000 0080000000000000', { spinup_ap: { vcpu: 1, rip: 0x8000n } }],
  [13, '30000000', { vector: 0x30 }],
  [14, '02000000', { how: 'POWEROFF' }],
  [14, '05000000', { how: 'DESTROY' }],
  [14, '63000000', { how: 99 }],
  [19, '7b00000000000000 0100000000000000 0200000000000000', { exitcode: 0x7bn, exitinfo2: 2n }],
  [23, '01000000', { inst_length: 1 }],
  [24, '00060000 9f000000', { mode: 0x600, vector: 0x9f, cpus: [1, 2] }],
];

t.test('payloads are read by their offsets in the union', async (t) => {
  for (const [code, union, fields] of PAYLOADS) {
    t.match(Object.fromEntries(detailsOf(decode(code, union))), fields, `${code}: ${union}`);
  }
});

t.test('structs in payloads are objects, with enumerations by name', async (t) => {
  const paging = { cr3: 0x2000n, cpl: 3, cpu_mode: '64BIT', paging_mode: '64' };
  const pagingBytes = '0020000000000000 03000000 03000000 03000000 00000000';
  const string = decode(
    15,
    `21006000 00000000 ${pagingBytes} 0200000000000000 1100000000000000
    0100000000000000 0a00000000000000 02000000 16000000 0000010000000000 ffff0000 93000000`,
  );
  t.match(string, { bytes: 1, rep: true, port: 0x60, paging, rflags: 2n, cr0: 0x11n });
  t.match(string, { index: 1n, count: 10n, addrsize: 2, seg_name: 22 });
  t.match(string, { seg_desc: { base: 0x10000n, limit: 0xffff, access: 0x93 } });
  t.match(decode(16, `28000000 00000000 00000000 00000000 02000000 00000000 ${pagingBytes}`), {
    tsssel: 0x28,
    reason: 'JMP',
    paging,
  });
  t.match(decode(25, `01000000 00000000 00000000 00000000 ${pagingBytes}`), {
    trace_trap: 1,
    paging,
  });
  const emulated = decode(
    9,
    `0000feffff000000 0000000000000000 0000000000000000 01000000 00000000 ${pagingBytes}
    8b0500000000000000000000000000 06 02 44 01`,
  );
  t.match(emulated, { gpa: 0xfffffe0000n, cs_d: 1, paging });
  t.match(emulated.vie, {
    inst: '8b0500000000000000000000000000',
    num_valid: 6,
    num_processed: 2,
    addrsize: 4,
    opsize: 4,
    rex_w: true,
    rex_r: false,
  });
});

t.test('only an IPI has CPUs', async (t) => {
  t.notOk('cpus' in decode(5));
  t.same(decode(24).cpus, [1, 2]);
});

t.test('a set of CPUs is read from its lowest bit on', async (t) => {
  t.same(cpusOf(Uint8Array.of(0x01, 0x80)), [0, 15]);
  const set = new Uint8Array(128);
  set[7] = 0x80;
  set[8] = 0x01;
  set[127] = 0x80;
  t.same(cpusOf(set), [63, 64, 1023]);
  t.same(cpusOf(new Uint8Array(0)), []);
});

t.test('too few bytes are refused, and any others are read', async (t) => {
  t.throws(() => decodeExit(0, new Uint8Array(vm_exit.size - 1), []), RangeError);
  const bytes = fc.uint8Array({ minLength: vm_exit.size, maxLength: vm_exit_grown.size });
  fc.assert(
    fc.property(bytes, fc.integer({ min: -2, max: 30 }), (data, code) => {
      new DataView(data.buffer, data.byteOffset).setInt32(0, code, true);
      const exit = decodeExit(0, data, []);
      return typeof exit.exit === 'string' && typeof exit.rip === 'bigint';
    }),
  );
});
