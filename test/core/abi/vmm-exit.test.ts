import t from 'tap';
import { VM_RUN_GROWN, vm_run_grown } from '../../../src/core/abi/vmm.js';
import {
  readBits,
  VM_EXIT_UNION_SIZE,
  vie,
  vie_bits,
  vm_exit,
  vm_exit_grown,
  vm_exit_ipi_grown,
  vm_inout,
  vm_inout_bits,
} from '../../../src/core/abi/vmm-exit.js';

t.test('an exit is 136 bytes, 120 of them the union', async (t) => {
  t.equal(vm_exit.size, 136);
  t.equal(VM_EXIT_UNION_SIZE, 120);
  t.equal(vm_exit.offset('u'), 16);
});

t.test('the union is read as the struct that the code tells', async (t) => {
  const data = vm_exit.encode({
    rip: 0x7c00n,
    u: vm_inout.encode({ access: 0b1001, port: 0x3f8 }),
  });
  const { u } = vm_exit.decode(data);
  t.equal(vm_inout.decode(u).port, 0x3f8);
  t.equal(readBits(u, vm_inout_bits.bytes), 1);
  t.equal(readBits(u, vm_inout_bits.in), 1);
  t.equal(readBits(u, vm_inout_bits.string), 0);
});

t.test('bit-fields of an instruction are read in their bytes', async (t) => {
  const data = vie.encode({ prefixes: Uint8Array.of(0x84, 0x01, 0xfc, 0, 0xa0) });
  t.equal(readBits(data, vie_bits.addrsize), 4);
  t.equal(readBits(data, vie_bits.opsize), 8);
  t.equal(readBits(data, vie_bits.rex_w), 1);
  t.equal(readBits(data, vie_bits.rex_r), 0);
  t.equal(readBits(data, vie_bits.mod), 3);
  t.equal(readBits(data, vie_bits.base), 10);
});

t.test('a bit-field beyond the bytes is a RangeError', async (t) => {
  t.throws(() => readBits(new Uint8Array(17), vie_bits.addrsize), RangeError);
});

t.test('a set of 1024 CPUs in an exit makes it 152 bytes, and VM_RUN another call', async (t) => {
  t.equal(vm_exit_ipi_grown.size, 136);
  t.equal(vm_exit_ipi_grown.offset('dmask'), 8);
  t.equal(vm_exit_grown.size, 152);
  t.equal(vm_exit_grown.offset('u'), 16);
  t.equal(vm_run_grown.size, 160);
  t.equal(vm_run_grown.offset('vm_exit'), 8);
  t.equal(VM_RUN_GROWN.number, 0xc0a07601);
});
