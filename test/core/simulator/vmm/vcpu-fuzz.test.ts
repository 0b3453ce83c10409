/**
 * Anything may be asked of a VM whose vCPUs run: an answer, an errno or a call that waits, never an exception; and no call
 * waits for ever.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { SystemError } from '../../../../src/core/abi/errno.js';
import { VM_RUN_GROWN, VMM_IOCTLS, vm_run } from '../../../../src/core/abi/vmm.js';
import { type OpenNode, PendingIoctl, ROOT } from '../../../../src/core/simulator/node.js';
import type { Vmm } from '../../../../src/core/simulator/vmm/registry.js';
import { memoryAt } from '../../../helpers/vcpu.js';
import { vmmHost } from '../../../helpers/vmm.js';

const CPUS = 4;
const PROGRAMS = [
  'loop\nout 1 1 1\nend',
  'wait\nhlt',
  'wait nmi',
  'spin',
  'suspend reset',
  'loop\nend',
  'repeat 3\nipi fixed 64 all\nend',
  'mmio write 0xfee000f0 4 0x1ff\nloop\nwait\npause\nend',
  '',
];
const ROWS = [...Object.values(VMM_IOCTLS), VM_RUN_GROWN];

type Step =
  | { kind: 'ioctl'; row: (typeof ROWS)[number]; vcpu: number; rest: Uint8Array }
  | { kind: 'activate' | 'run'; vcpu: number }
  | { kind: 'program'; vcpu: number; text: string | null }
  | { kind: 'interrupt' | 'close' | 'destroy' };

const vcpu = fc.integer({ min: -2, max: CPUS });
const rest = fc.uint8Array({ minLength: 0, maxLength: 64, size: 'max' });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('ioctl'), row: fc.constantFrom(...ROWS), vcpu, rest }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('activate', 'run'), vcpu }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('program'),
      vcpu,
      text: fc.oneof(fc.constantFrom(...PROGRAMS), fc.constant(null)),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('interrupt', 'close', 'destroy') }) },
) as fc.Arbitrary<Step>;

/** The caller's memory: the lowest 4 KiB. */
const memory = () => memoryAt({ address: 0n, bytes: new Uint8Array(4096) });

class Machine {
  readonly vmm: Vmm = vmmHost({ maxCpu: CPUS });
  readonly pending: PendingIoctl[] = [];
  node: OpenNode;

  constructor() {
    this.vmm.create('a', 'persistent', ROOT);
    this.node = this.vmm.openVm('a', ROOT, 'rw');
  }

  get vm() {
    return this.vmm.find('a', ROOT) ?? this.vmm.create('a', 'persistent', ROOT);
  }

  take(step: Step): void {
    if (step.kind === 'ioctl') {
      const argument = new Uint8Array(step.row.size);
      argument.set(step.rest.subarray(0, argument.length));
      if (argument.length >= 4) new DataView(argument.buffer).setInt32(0, step.vcpu, true);
      this.call(step.row.number, argument);
    } else if (step.kind === 'run') {
      const argument = vm_run.encode({ cpuid: step.vcpu, cpusetsize: 200n, vm_exit: 512n });
      this.call(VMM_IOCTLS.VM_RUN.number, argument);
    } else if (step.kind === 'activate') {
      this.call(VMM_IOCTLS.VM_ACTIVATE_CPU.number, new Uint8Array(Int32Array.of(step.vcpu).buffer));
    } else if (step.kind === 'program') {
      this.vmm.setProgram(this.vm, step.vcpu, step.text);
    } else if (step.kind === 'interrupt') {
      this.pending.find(({ finished }) => !finished)?.interrupt();
    } else {
      if (step.kind === 'destroy') this.vmm.destroy(this.vm);
      this.node.close();
      this.node = this.vmm.openVm(this.vm.name, ROOT, 'rw');
    }
  }

  call(request: number, argument: Uint8Array): void {
    const outcome = this.node.ioctl(request, argument, memory());
    if (outcome instanceof PendingIoctl) this.pending.push(outcome);
    else assert.equal(outcome.result, 0);
  }

  /** The vCPUs that wait in the kernel are those of calls that wait. */
  check(): void {
    const { vm } = this;
    const waiting = this.pending.filter(({ finished }) => !finished).length;
    const running = [...vm.vcpus.values()].filter(({ run }) => run !== undefined);
    const stuck = running.some(({ run }) => run?.reason === 'suspended');
    assert.ok(running.length <= waiting);
    assert.ok(
      stuck || running.length === waiting,
      'only vCPUs that wait for others are waited for',
    );
    for (const { run } of running) assert.equal(run?.pending.finished, false);
    assert.ok([...vm.suspendedCpus, ...vm.haltedCpus].every((id) => id >= 0 && id < CPUS));
    assert.ok(vm.state !== 'destroying');
  }
}

t.test('random calls on a VM that runs', async () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const machine = new Machine();
      for (const each of steps) {
        try {
          machine.take(each);
        } catch (error) {
          if (!(error instanceof SystemError)) throw error;
        }
        machine.check();
      }
      machine.vmm.destroy(machine.vm);
      assert.ok(machine.pending.every(({ finished }) => finished));
    }),
    { numRuns: 1500 },
  );
});
