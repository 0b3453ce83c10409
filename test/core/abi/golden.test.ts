/** Every struct, number and constant that we define, against golden values from a C compiler. */
import t from 'tap';
import { errnoOf, isErrorCode } from '../../../src/core/abi/errno.js';
import * as ioccom from '../../../src/core/abi/freebsd-ioctl.js';
import * as virtioVsock from '../../../src/core/abi/virtio-vsock.js';
import * as vmSockets from '../../../src/core/abi/vm-sockets.js';
import * as vmm from '../../../src/core/abi/vmm.js';
import * as vmmExit from '../../../src/core/abi/vmm-exit.js';
import * as vmmMachine from '../../../src/core/abi/vmm-machine.js';
import * as vmmctl from '../../../src/core/abi/vmmctl.js';
import * as vsockmon from '../../../src/core/abi/vsockmon.js';
import { compareStruct, isLayout, readGolden } from '../../helpers/golden.js';

const freebsd = readGolden('freebsd-vmm-abi');
const vsock = readGolden<number>('vsock-abi');

/** Ours alone: no header has them. */
const OUR_OWN = new Set([
  'VMMCTL_DRAFT_CREATE_PERSISTENT',
  'VM_EXIT_UNION_SIZE',
  'FIRST_GUEST_CID',
  'LAST_GUEST_CID',
  'SOMAXCONN',
  'VIRTIO_VSOCK_SHUTDOWN_MASK',
  'VSOCKMON_VIRTIO_HEADERS',
  // Of sys/vm/vm.h, which the golden values leave out.
  'VM_PROT_READ',
  'VM_PROT_WRITE',
  'VM_PROT_EXECUTE',
  'VM_PROT_ALL',
]);

/** Structs that no release has, and so no compiler's values; vmm-exit.test.ts has theirs. */
const OF_NO_RELEASE = new Set(['vm_run_grown', 'vm_exit_grown', 'vm_exit_ipi_grown']);

type Module = Record<string, unknown>;

function layoutsOf(...modules: Module[]) {
  return modules.flatMap((module) => Object.values(module).filter(isLayout));
}

/** Every number that a module exports, on its own or in an enumeration. */
function numbersOf(...modules: Module[]): [string, number][] {
  return modules.flatMap((module) =>
    Object.entries(module).flatMap(([name, value]): [string, number][] => {
      if (typeof value === 'number') return [[name, value]];
      if (typeof value !== 'object' || value === null) return [];
      return Object.entries(value).filter((entry): entry is [string, number] => {
        return /^[A-Z]/.test(entry[0]) && typeof entry[1] === 'number';
      });
    }),
  );
}

const FREEBSD_MODULES: Module[] = [ioccom, vmmctl, vmm, vmmExit, vmmMachine];

t.test('every struct of bhyve has the layout that the compiler gives it', async (t) => {
  const layouts = layoutsOf(...FREEBSD_MODULES).filter(({ name }) => !OF_NO_RELEASE.has(name));
  for (const layout of layouts) {
    const golden = freebsd.structs[layout.name];
    if (golden === undefined) t.fail(`${layout.name} has no golden struct`);
    else t.strictSame(compareStruct(layout, golden), [], layout.name);
  }
  const ours = new Set(layouts.map(({ name }) => name));
  const missing = Object.keys(freebsd.structs).filter((name) => !ours.has(name));
  t.strictSame(missing, [], 'none is left out');
});

t.test('every bit-field is where the compiler puts it', async (t) => {
  for (const [name, table] of Object.entries({
    vie: vmmExit.vie_bits,
    vm_inout: vmmExit.vm_inout_bits,
  })) {
    const golden = (freebsd.structs[name]?.fields ?? [])
      .filter((field) => field.bit_width !== undefined && !field.name.startsWith('_'))
      .map((field) => [field.name, { bit: field.bit_offset_abs, width: field.bit_width }]);
    const ours = Object.entries(table).filter(([field]) => !field.startsWith('_'));
    t.strictSame(Object.fromEntries(ours), Object.fromEntries(golden), name);
  }
});

t.test('every ioctl of bhyve has the number of the header, and none is left out', async (t) => {
  const rows = [...Object.entries(vmmctl.VMMCTL_IOCTLS), ...Object.entries(vmm.VMM_IOCTLS)];
  t.strictSame(rows.map(([name]) => name).sort(), Object.keys(freebsd.ioctls).sort());
  for (const [key, row] of rows) {
    const golden = freebsd.ioctls[key];
    const layout = row.layout;
    const found = {
      name: row.name,
      group: row.group,
      nr: row.nr,
      dir: row.direction,
      size: row.size,
      value: row.number,
      struct: layout !== null && isLayout(layout) ? layout.name : null,
    };
    const wanted = golden && { ...pick(golden), name: key };
    t.strictSame(found, wanted, key);
    t.match(ioccom.ioctlParts(row.number), { group: row.group, nr: row.nr, size: row.size });
    t.equal(ioccom.ioctlParts(row.number).direction, row.direction);
  }
  const numbers = new Set(rows.map(([, row]) => row.number));
  t.equal(numbers.size, rows.length, 'no number is used twice');
});

function pick(golden: (typeof freebsd.ioctls)[string]) {
  const { group, nr, dir, size, value, struct } = golden;
  return { group, nr, dir, size, value, struct };
}

t.test('every constant of bhyve has its value in the header', async (t) => {
  for (const [name, value] of numbersOf(...FREEBSD_MODULES)) {
    if (OUR_OWN.has(name)) continue;
    const golden = freebsd.constants[name] ?? freebsd.ioctls[name]?.value;
    t.equal(value, golden, name);
  }
});

t.test('errors have their FreeBSD numbers', async (t) => {
  const golden = Object.entries(freebsd.errno_freebsd ?? {});
  for (const [name, number] of golden) {
    if (isErrorCode(name)) t.equal(errnoOf(name, 'freebsd'), number, name);
  }
  t.ok(golden.length > 0);
});

t.test('every struct of vsock has the layout that the compiler gives it', async (t) => {
  const withoutGolden = [vmSockets.timeval64.name];
  for (const layout of layoutsOf(vmSockets, virtioVsock, vsockmon)) {
    if (withoutGolden.includes(layout.name)) continue;
    const golden = vsock.structs[layout.name];
    if (golden === undefined) t.fail(`${layout.name} has no golden struct`);
    else t.strictSame(compareStruct(layout, golden), [], layout.name);
  }
});

t.test('every constant of vsock has its value in the header', async (t) => {
  for (const [name, value] of numbersOf(vmSockets, virtioVsock, vsockmon)) {
    if (OUR_OWN.has(name) || name.startsWith('PATCHSET_')) continue;
    const golden =
      vsock.constants[name] ?? vsock.constants[`${name}__kernel`] ?? vsock.ioctls[name];
    t.equal(value, golden, name);
  }
});

t.test('a layout that differs from its golden struct is reported', async (t) => {
  const golden = freebsd.structs.vm_munmap;
  if (golden === undefined) throw new Error('no vm_munmap');
  const found = compareStruct(vmm.vm_memmap, golden);
  t.match(found[0], /^vm_memmap: size is 40, not 16$/);
  t.ok(found.includes('vm_memmap: the header has no prot'));
  t.ok(found.includes('vm_memmap: offset of len is 24, not 8'));
});
