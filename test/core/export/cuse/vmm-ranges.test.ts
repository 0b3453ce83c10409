/** What bhyve's ioctls point to: which memory they ask the kernel for, and what comes back by way of CUSE. */
import t from 'tap';
import {
  VMM_IOCTLS,
  vm_cpuset,
  vm_register,
  vm_register_set,
  vm_run,
} from '../../../../src/core/abi/vmm.js';
import { checkTransfer } from '../../../../src/core/export/cuse/ranges.js';
import { vmmRanges } from '../../../../src/core/export/cuse/vmm-ranges.js';
import { cpusIn } from '../../../helpers/vcpu.js';
import { codeOf } from '../../../helpers/vmm.js';
import { hostNode } from './guest.js';
import { BASE } from './kernel.js';

const AT = 0x1000n;
const NOTHING = new Uint8Array(0);
const { VM_RUN, VM_RUN_13, VM_GET_CPUS, VM_GET_REGISTER_SET, VM_SET_REGISTER_SET } = VMM_IOCTLS;

t.test('VM_RUN: first the argument, then the exit and the set', async (t) => {
  const argument = { base: AT, length: 32 };
  t.strictSame(vmmRanges(VM_RUN.number, AT, NOTHING), { into: [argument], out: [argument] });
  const bytes = vm_run.encode({ cpuset: 0x8000n, cpusetsize: 200n, vm_exit: 0x4000n });
  const both = [argument, { base: 0x4000n, length: 136 }, { base: 0x8000n, length: 200 }];
  t.strictSame(vmmRanges(VM_RUN.number, AT, bytes), { into: both, out: both });
  t.strictSame(
    vmmRanges(VM_RUN.number, AT, Buffer.concat([bytes, new Uint8Array(336)])).into,
    both,
  );
  const without = vmmRanges(VM_RUN.number, AT, vm_run.encode({ vm_exit: 0x4000n }));
  t.strictSame(without.into, both.slice(0, 2), 'no set');
  t.equal(vmmRanges(VM_RUN_13.number, AT, new Uint8Array(144)).into.length, 1);
});

t.test('VM_GET_CPUS and sets of registers', async (t) => {
  const argument = { base: AT, length: 16 };
  const ranges = (cpusetsize: number) =>
    vmmRanges(VM_GET_CPUS.number, AT, vm_cpuset.encode({ cpus: 0x8000n, cpusetsize }));
  const set = { base: 0x8000n, length: 16 };
  const found = { into: [argument, set], out: [set], argumentStays: true };
  t.strictSame(ranges(16), found, 'the argument only goes in');
  for (const size of [0, -1, 129]) t.strictSame(ranges(size).into, [argument]);
  const registers = (request: number, count: number) => {
    const bytes = vm_register_set.encode({ count, regnums: 0x2000n, regvals: 0x3000n });
    const { into, out } = vmmRanges(request, AT, bytes);
    return [into, out].map((each) => each.map(({ length }) => length));
  };
  t.strictSame(registers(VM_GET_REGISTER_SET.number, 3), [
    [24, 12, 24],
    [24, 24],
  ]);
  t.strictSame(registers(VM_SET_REGISTER_SET.number, 3), [[24, 12, 24], []]);
  t.strictSame(registers(VM_GET_REGISTER_SET.number, 50), [[24], [24]]);
});

t.test('more than the kernel carries is ENOMEM', async (t) => {
  for (const cpusetsize of [2n ** 64n - 1n, 128n * 1024n]) {
    const bytes = vm_run.encode({ cpuset: 0x8000n, cpusetsize, vm_exit: 0x4000n });
    t.equal(
      codeOf(() => checkTransfer(vmmRanges(VM_RUN.number, AT, bytes))),
      'ENOMEM',
    );
  }
});

/** The node of a VM whose vCPU 0 is active and has a program, opened as a program does. */
async function opened(program: string) {
  const { keeper, kernel } = hostNode('/dev/vmm/web1');
  keeper.create('web1');
  const { vm } = keeper.world.peek('web1') ?? {};
  if (vm === undefined) throw new Error('no VM');
  keeper.world.vmm.setProgram(vm, 0, program);
  const fh = await kernel.open();
  if (typeof fh === 'string') throw new Error(fh);
  const int = kernel.place(0, new Uint8Array(4));
  await kernel.ioctl(fh, VMM_IOCTLS.VM_ACTIVATE_CPU.number, int);
  return { keeper, kernel, fh, int };
}

const EXIT = 0x2000;
const SET = 0x4000;

t.test('VM_RUN of a program: the exit and the set, cut and zeroed', async (t) => {
  const { kernel, fh } = await opened('loop\nipi fixed 0x41 0,63,256\nhlt\nend');
  const run = async (room: number) => {
    kernel.memory.fill(0xee, EXIT, EXIT + 8192 + 512);
    const argument = vm_run.encode({
      cpuset: BASE + BigInt(SET),
      cpusetsize: BigInt(room),
      vm_exit: BASE + BigInt(EXIT),
    });
    t.strictSame(await kernel.ioctl(fh, VM_RUN.number, kernel.place(256, argument)), { result: 0 });
    return kernel.memory[EXIT];
  };
  t.equal(await run(256), 24);
  t.equal(kernel.rounds, 3);
  t.strictSame(cpusIn(kernel.memory.slice(SET, SET + 256)), [0, 63, 256]);
  t.equal(kernel.memory[SET + 256], 0xee);
  t.equal(await run(64), 5, 'HLT');
  t.equal(kernel.memory[SET], 0xee, 'the set stays');
  t.equal(await run(9), 24);
  t.strictSame(cpusIn(kernel.memory.slice(SET, SET + 9)), [0, 63]);
  const nowhere = kernel.place(256, vm_run.encode({ vm_exit: 4096n }));
  t.equal(await kernel.ioctl(fh, VM_RUN.number, nowhere), 'EFAULT');
  const none = kernel.place(256, vm_run.encode({}));
  t.equal(await kernel.ioctl(fh, VM_RUN.number, none), 'EFAULT');
});

t.test('VM_RUN that waits ends by a signal, with BOGUS', async (t) => {
  const { kernel, fh } = await opened('wait');
  const argument = vm_run.encode({ vm_exit: BASE + BigInt(EXIT) });
  const { outcome, interrupt } = kernel.beginIoctl(fh, VM_RUN.number, kernel.place(256, argument));
  for (let turn = 0; turn < 100 && kernel.rounds < 3; turn++) await Promise.resolve();
  interrupt();
  t.strictSame(await outcome, { result: 0 });
  t.equal(kernel.memory[EXIT], 2);
});

t.test('sets of CPUs and of registers', async (t) => {
  const { kernel, fh } = await opened('hlt');
  const cpuset = { which: 0, cpusetsize: 8, cpus: BASE + BigInt(SET) };
  const argument = kernel.place(256, vm_cpuset.encode(cpuset));
  kernel.memory.fill(0xee, SET, SET + 9);
  t.strictSame(await kernel.ioctl(fh, VM_GET_CPUS.number, argument), { result: 0 });
  t.strictSame([...kernel.memory.slice(SET, SET + 9)], [1, 0, 0, 0, 0, 0, 0, 0, 0xee]);
  const values = BigUint64Array.of(0x11n, 0x22n);
  const registers = kernel.place(
    256,
    vm_register_set.encode({
      count: 2,
      regnums: kernel.place(512, new Uint8Array(Int32Array.of(0, 1).buffer)),
      regvals: kernel.place(1024, new Uint8Array(values.buffer)),
    }),
  );
  t.strictSame(await kernel.ioctl(fh, VM_SET_REGISTER_SET.number, registers), { result: 0 });
  kernel.memory.fill(0, 1024, 1040);
  t.strictSame(await kernel.ioctl(fh, VM_GET_REGISTER_SET.number, registers), { result: 0 });
  t.strictSame([kernel.memory[1024], kernel.memory[1032]], [0x11, 0x22]);
  const one = kernel.place(2048, vm_register.encode({ regnum: 1 }));
  await kernel.ioctl(fh, VMM_IOCTLS.VM_GET_REGISTER.number, one);
  t.equal(kernel.memory[2048 + vm_register.offset('regval')], 0x22);
});
