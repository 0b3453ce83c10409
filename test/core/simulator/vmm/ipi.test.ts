/** VM_EXITCODE_IPI: which bytes get to the caller, by the form of VM_RUN, the targets and the room for them. */
import t from 'tap';
import { VM_RUN_GROWN, VMM_IOCTLS, vm_run } from '../../../../src/core/abi/vmm.js';
import { PendingIoctl } from '../../../../src/core/simulator/node.js';
import { promptly } from '../../../helpers/promptly.js';
import { CPUSET_AT, EXIT_AT, vcpuLab } from '../../../helpers/vcpu.js';
import { codeOf } from '../../../helpers/vmm.js';

const TARGETS = [0, 63, 64, 255, 256, 1023];
const ROOMS = [8, 32, 128, 256];
/** The byte and the bit of each target, written out. */
const PLACES: Record<number, [byte: number, bits: number]> = {
  0: [0, 0x01],
  63: [7, 0x80],
  64: [8, 0x01],
  255: [31, 0x80],
  256: [32, 0x01],
  1023: [127, 0x80],
};
/** exitcode 24, inst_length 2, rip 0; mode 0x500, vector 0xf1 in the union. */
const HEADER = '1800000002000000 0000000000000000 00050000f1000000'.replaceAll(' ', '');

function ipiLab(cpus: readonly number[]) {
  const lab = vcpuLab();
  lab.program(`ipi init 0xf1 ${cpus.join(',')}`);
  lab.activate(0);
  return lab;
}

/** As many bytes of the set as are given, zeros behind the kernel's 128. */
function setOf(cpus: readonly number[], length: number): Uint8Array {
  const set = new Uint8Array(Math.max(length, 128));
  for (const cpu of cpus) {
    const [byte, bits] = PLACES[cpu] ?? [0, 0];
    set[byte] = (set[byte] ?? 0) | bits;
  }
  return set.subarray(0, length);
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const CASES = [...TARGETS.map((cpu) => [cpu]), TARGETS];

for (const cpus of CASES) {
  for (const room of ROOMS) {
    t.test(`VM_RUN: CPUs ${cpus.join(', ')} into ${room} bytes`, async (t) => {
      const { outcome, exit, cpuset } = ipiLab(cpus).start(0, room);
      const { data } = promptly(outcome);
      t.equal(hex(exit), HEADER.padEnd(272, '0'));
      t.equal(hex(cpuset), hex(setOf(cpus, room)), 'cut without a word, or zeros behind');
      const argument = vm_run.encode({
        cpuset: CPUSET_AT,
        cpusetsize: BigInt(room),
        vm_exit: EXIT_AT,
      });
      t.equal(hex(data ?? cpuset), hex(argument), 'the argument stays as it is');
    });
  }

  t.test(`VM_RUN of 13: CPUs ${cpus.join(', ')}`, async (t) => {
    const data = ipiLab(cpus).run13();
    const set = hex(setOf(cpus, 32));
    t.equal(
      hex(data),
      `${'00'.repeat(8)}${HEADER}${set}`.padEnd(288, '0'),
      'those above 255 dropped',
    );
  });

  t.test(`VM_RUN grown: CPUs ${cpus.join(', ')}`, async (t) => {
    const data = ipiLab(cpus).runGrown();
    t.equal(hex(data), `${'00'.repeat(8)}${HEADER}${hex(setOf(cpus, 128))}`);
  });
}

t.test('other exits do not touch the set, nor need one', async (t) => {
  const lab = vcpuLab();
  lab.program('loop\nhlt\nend');
  lab.activate(0);
  const { cpuset } = lab.start(0, 16);
  t.equal(hex(cpuset), 'ee'.repeat(16));
  const exit = new Uint8Array(136);
  const argument = vm_run.encode({ vm_exit: EXIT_AT });
  lab.ask(VMM_IOCTLS.VM_RUN.number, argument, { address: EXIT_AT, bytes: exit });
  t.equal(exit[0], 5);
});

t.test('no room at all is no error; an address without memory is EFAULT', async (t) => {
  const exit = { address: EXIT_AT, bytes: new Uint8Array(136) };
  const run = (
    cpusetsize: bigint,
    cpuset: bigint,
    ...more: { address: bigint; bytes: Uint8Array }[]
  ) => {
    const argument = vm_run.encode({ cpuset, cpusetsize, vm_exit: EXIT_AT });
    return codeOf(() => ipiLab([1]).ask(VMM_IOCTLS.VM_RUN.number, argument, exit, ...more));
  };
  t.equal(run(0n, 0n), 'ok');
  t.equal(run(8n, 0n), 'EFAULT');
  const set = { address: CPUSET_AT, bytes: new Uint8Array(128) };
  t.equal(run(128n, CPUSET_AT, set), 'ok');
  t.equal(run(129n, CPUSET_AT, set), 'EFAULT', 'the zeros behind have to fit too');
  t.equal(run(2n ** 64n - 1n, CPUSET_AT, set), 'EFAULT');
  const large = { address: CPUSET_AT, bytes: new Uint8Array(10_000).fill(0xee) };
  t.equal(run(10_000n, CPUSET_AT, large), 'ok');
  t.ok(large.bytes.subarray(128).every((byte) => byte === 0));
});

t.test('an exit that names its own bytes has no targets', async (t) => {
  const lab = vcpuLab();
  lab.program('exit 24 2 00050000f1000000');
  lab.activate(0);
  const { exit, cpuset } = lab.start(0, 128);
  t.equal(hex(exit), HEADER.padEnd(272, '0'));
  t.equal(hex(cpuset), '00'.repeat(128));
});

t.test('a set may be sent along in a call that waits', async (t) => {
  const lab = vcpuLab({ release: '14' });
  lab.program('wait\nipi fixed 0x40 0,256');
  lab.activate(0);
  const call = lab.start(0, 40);
  t.ok(call.outcome instanceof PendingIoctl);
  lab.ask(VMM_IOCTLS.VM_INJECT_NMI.number, new Uint8Array(4));
  t.equal(hex(call.cpuset), hex(setOf([0, 256], 40)));
});

t.test('the grown form is there where the configuration says so', async (t) => {
  for (const grownRun of [true, false]) {
    const lab = vcpuLab({ grownRun });
    lab.program('hlt');
    lab.activate(0);
    t.equal(
      codeOf(() => lab.runGrown()),
      grownRun ? 'ok' : 'ENOTTY',
    );
    t.equal(
      codeOf(() => lab.call(VM_RUN_GROWN.number - 0x10000, new Uint8Array(200))),
      'ENOTTY',
      'the right number with a wrong size',
    );
  }
});
