/** Exits of KVM's vCPUs, from bytes as the header lays them out. */
import fc from 'fast-check';
import t from 'tap';
import { awaitsAnswer, decodeKvmExit } from '../../../src/core/client/kvm-exits.js';

/** Where the union of the exits stands in struct kvm_run, and where it ends. */
const UNION = 32;
const SIZE = 288;

/** An exit with these bytes in its union. */
function exit(reason: number, union = '', data = '') {
  const run = new Uint8Array(SIZE);
  run[8] = reason;
  run.set(Buffer.from(union.replaceAll(' ', ''), 'hex'), UNION);
  return { reason, run, data: new Uint8Array(Buffer.from(data, 'hex')), rip: 0x1000n };
}

const u64 = (value: bigint): string => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes.toString('hex');
};

const OUT = exit(2, `01 01 f803 02000000 ${u64(0x1000n)}`, '4142');
const IN = exit(2, `00 02 6000 01000000 ${u64(0x1000n)}`);
const READ = exit(6, `${u64(0xb8000n)} 1122334455667788 04000000 00`);
const WRITE = exit(6, `${u64(0xb8000n)} 1122334455667788 02000000 01`);

const CASES: [string, ReturnType<typeof exit>, object][] = [
  ['IO', OUT, { direction: 'OUT', size: 1, port: 0x3f8, count: 2, data: '4142' }],
  ['IO', IN, { direction: 'IN', size: 2, port: 0x60, count: 1, data: null }],
  ['MMIO', READ, { phys_addr: 0xb8000n, len: 4, is_write: false, data: null }],
  ['MMIO', WRITE, { phys_addr: 0xb8000n, len: 2, is_write: true, data: '1122' }],
  ['HLT', exit(5), {}],
  ['SHUTDOWN', exit(8), {}],
  ['INTR', exit(10), {}],
  ['UNKNOWN', exit(0, u64(7n)), { hardware_exit_reason: 7n }],
  ['EXCEPTION', exit(1, '0d000000 02000000'), { exception: 13, error_code: 2 }],
  [
    'FAIL_ENTRY',
    exit(9, `${u64(0x80000021n)} 03000000`),
    { hardware_entry_failure_reason: 0x80000021n, cpu: 3 },
  ],
  [
    'INTERNAL_ERROR',
    exit(17, `01000000 02000000 ${u64(5n)}${u64(6n)}${u64(7n)}`),
    { suberror: 'EMULATION', data: [5n, 6n] },
  ],
  ['INTERNAL_ERROR', exit(17, '63000000 00000000'), { suberror: 99, data: [] }],
  ['SYSTEM_EVENT', exit(24, '02000000 00000000'), { type: 'RESET', data: [] }],
  [
    'X86_WRMSR',
    exit(30, `00 00000000000000 02000000 00000040 ${u64(9n)}`),
    { reason: 2, index: 0x40000000, data: 9n },
  ],
  [
    'HYPERCALL',
    exit(3, `${u64(1n)}${u64(2n)}`),
    { nr: 1n, args: [2n, 0n, 0n, 0n, 0n, 0n], longmode: 0 },
  ],
  ['TPR_ACCESS', exit(12, `${u64(3n)} 01000000`), { is_write: true }],
  ['IOAPIC_EOI', exit(26, '21'), { vector: 0x21 }],
  ['NOTIFY', exit(37, '01000000'), { flags: 1 }],
  ['200', exit(200), {}],
];

for (const [name, given, fields] of CASES) {
  t.test(`${name} ${JSON.stringify(Object.keys(fields))}`, async (t) => {
    const { record, raw } = decodeKvmExit(1, given);
    t.same(record, { exit: name, vcpu: 1, rip: 0x1000n, instLength: null, ...fields });
    t.same(raw[0], { name: 'kvm_run', bytes: given.run });
  });
}

t.test('which exits wait for bytes', async (t) => {
  t.same([OUT, IN, READ, WRITE, exit(5)].map(awaitsAnswer), [false, true, true, false, false]);
  t.match(decodeKvmExit(0, OUT).raw[1], { name: 'data', bytes: OUT.data });
});

t.test('any bytes are an exit', async (t) => {
  const union = fc.uint8Array({ minLength: 256, maxLength: 256 });
  fc.assert(
    fc.property(fc.nat(60), union, fc.uint8Array(), (reason, bytes, data) => {
      const run = new Uint8Array(SIZE);
      run.set(bytes, UNION);
      t.equal(decodeKvmExit(0, { reason, run, data, rip: 0n }).record.vcpu, 0);
    }),
  );
});
