import t from 'tap';
import { VMM_IOCTLS, vm_memseg } from '../../../src/core/abi/vmm.js';

t.test('the numbers are those that were seen on real systems', async (t) => {
  t.equal(VMM_IOCTLS.VM_RUN_13.number, 0xc0907601);
  t.equal(VMM_IOCTLS.VM_STATS.number, 0xc2207632);
});

t.test('rows are in the order of their numbers, and each row has its own name', async (t) => {
  const rows = Object.entries(VMM_IOCTLS);
  const order = rows.map(([, row]) => row.nr);
  t.strictSame(
    order,
    order.toSorted((a, b) => a - b),
  );
  for (const [name, row] of rows) t.equal(row.name, name);
});

t.test('a row decodes its own argument', async (t) => {
  const data = vm_memseg.encode({ segid: 8, len: 0x200000n, name: Uint8Array.of(0x61) });
  const { layout } = VMM_IOCTLS.VM_ALLOC_MEMSEG;
  const value = layout?.read(new DataView(data.buffer), 0);
  t.match(value, { segid: 8, len: 0x200000n, ds_policy: 0 });
});
