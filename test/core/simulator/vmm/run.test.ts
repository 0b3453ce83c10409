/** VM_RUN: what a vCPU does between a call and the exit that it gives, and when it waits. */
import t from 'tap';
import { SystemError } from '../../../../src/core/abi/errno.js';
import {
  VM_DEBUG_CPUS,
  VM_SUSPENDED_CPUS,
  VMM_IOCTLS,
  vm_lapic_irq,
  vm_nmi,
  vm_register,
} from '../../../../src/core/abi/vmm.js';
import {
  vm_exit_u_hlt,
  vm_exit_u_inst_emul,
  vm_exit_u_msr,
  vm_exit_u_suspended,
  vm_inout,
  vm_inout_str,
} from '../../../../src/core/abi/vmm-exit.js';
import { vm_exitcode, vm_reg_name, vm_suspend_how } from '../../../../src/core/abi/vmm-machine.js';
import { exitOf, outcomeOf, vcpuLab, waits } from '../../../helpers/vcpu.js';
import { codeOf } from '../../../helpers/vmm.js';

const { VM_REG_GUEST_RAX, VM_REG_GUEST_RCX, VM_REG_GUEST_RIP } = vm_reg_name;

/** `INOUT` of an exit. */
function nameOf({ exitcode }: { exitcode: number }): string {
  const [name = ''] = Object.entries(vm_exitcode).find(([, code]) => code === exitcode) ?? [];
  return name.replace('VM_EXITCODE_', '');
}

/** A VM with one active vCPU and its program. */
function lab(text: string | null, change: Parameters<typeof vcpuLab>[0] = {}) {
  const made = vcpuLab(change);
  made.program(text);
  made.activate(0);
  const register = (regnum: number) =>
    vm_register.decode(made.ask(VMM_IOCTLS.VM_GET_REGISTER.number, vm_register.encode({ regnum })))
      .regval;
  const setRegister = (regnum: number, regval: bigint) =>
    made.ask(VMM_IOCTLS.VM_SET_REGISTER.number, vm_register.encode({ regnum, regval }));
  const names = (count: number) => Array.from({ length: count }, () => nameOf(made.run()));
  return { ...made, register, setRegister, names };
}

const nmi = (cpuid: number): [number, Uint8Array] => [
  VMM_IOCTLS.VM_INJECT_NMI.number,
  vm_nmi.encode({ cpuid }),
];
const irq = (cpuid: number, vector: number): [number, Uint8Array] => [
  VMM_IOCTLS.VM_LAPIC_IRQ.number,
  vm_lapic_irq.encode({ cpuid, vector }),
];
const suspended = (exit: { u: Uint8Array }) => vm_exit_u_suspended.decode(exit.u).how;

t.test('the exits of a program come in order, each at its instruction', async (t) => {
  const vm = lab('out 0x3f8 1 0x41\nhlt\nwrmsr 0xc0000080 0x100000500\nmmio read 0x1000 4');
  const [out, hlt, wrmsr, mmio] = [vm.run(), vm.run(), vm.run(), vm.run()];
  t.strictSame([out, hlt, wrmsr, mmio].map(nameOf), ['INOUT', 'HLT', 'WRMSR', 'INST_EMUL']);
  t.strictSame(
    [out, hlt, wrmsr, mmio].map(({ rip, inst_length }) => [rip, inst_length]),
    [
      [0n, 1],
      [1n, 1],
      [2n, 2],
      [4n, 2],
    ],
  );
  t.strictSame(vm_inout.decode(out.u), { access: 1, port: 0x3f8, eax: 0x41 });
  t.strictSame(vm_exit_u_hlt.decode(hlt.u), { rflags: 2n, intr_status: 0n });
  t.strictSame(vm_exit_u_msr.decode(wrmsr.u), { code: 0xc0000080, wval: 0x100000500n });
  t.equal(vm.register(VM_REG_GUEST_RCX), 0xc0000080n);
  const { gpa, gla, vie } = vm_exit_u_inst_emul.decode(mmio.u);
  t.match({ gpa, gla, ...vie }, { gpa: 0x1000n, gla: 0x1000n, num_valid: 2, decoded: 0 });
  t.strictSame([...vie.inst.subarray(0, 3)], [0x8b, 0x07, 0]);
});

t.test('a write without a value writes the register, which the caller may have set', async (t) => {
  const vm = lab('loop\nin 0x60 1\nout 0x3f8 1\nend');
  for (const value of [0x1122334455667788n, 0x41n]) {
    t.equal(vm_inout.decode(vm.run().u).access, 0b1001);
    vm.setRegister(VM_REG_GUEST_RAX, value);
    t.equal(vm_inout.decode(vm.run().u).eax, Number(value & 0xffn));
  }
});

t.test('values go into the register as `mov` puts them there', async (t) => {
  const vm = lab('out 1 1 0xaa\nout 1 2 0xbbbb\nout 1 4 0xcccccccc');
  vm.setRegister(VM_REG_GUEST_RAX, 0x1111111111111111n);
  vm.run();
  t.equal(vm.register(VM_REG_GUEST_RAX), 0x11111111111111aan);
  vm.run();
  t.equal(vm.register(VM_REG_GUEST_RAX), 0x111111111111bbbbn);
  vm.run();
  t.equal(vm.register(VM_REG_GUEST_RAX), 0xccccccccn);
});

t.test('string instructions tell count, segment and address size', async (t) => {
  const vm = lab('outs 0x3f8 1 0x20\nins 0x1f0 2');
  const { inout, ...rest } = vm_inout_str.decode(vm.run().u);
  t.strictSame(inout, { access: 0b110001, port: 0x3f8, eax: 0 });
  t.match(rest, { count: 0x20n, addrsize: 2, seg_name: vm_reg_name.VM_REG_GUEST_DS });
  t.equal(vm.register(VM_REG_GUEST_RCX), 0x20n);
  const { inout: read, count } = vm_inout_str.decode(vm.run().u);
  t.strictSame([read.access, count], [0b011010, 1n]);
});

t.test('blocks repeat, in each other, and go back to where they began', async (t) => {
  const vm = lab('repeat 2\nhlt\nrepeat 2\npause\nend\nrepeat 0\nbpt\nend\nend\nmtrap');
  t.strictSame(vm.names(7), ['HLT', 'PAUSE', 'PAUSE', 'HLT', 'PAUSE', 'PAUSE', 'MTRAP']);
  const looping = lab('loop\nhlt\nend');
  t.strictSame(
    [looping.run(), looping.run(), looping.run()].map(({ rip }) => rip),
    [0n, 0n, 0n],
  );
});

t.test('each kind of exit has its number, whatever the kernel would have made of it', async (t) => {
  const lines = [
    'paging 0x1000 write',
    'ipi fixed 0xf0 0',
    'bpt',
    'db',
    'eoi 3',
    'spinup_ap 1 0x7c00',
    'task_switch 8 jmp',
    'vmx 48',
    'svm 0x400',
    'mtrap',
    'pause',
    'monitor',
    'mwait',
    'vminsn',
    'rendezvous',
    'bogus',
    'reqidle',
    'debug',
    'exit 11',
    'ins 1 1',
    'exit 14 0 02000000',
  ];
  const vm = lab(lines.join('\n'));
  const names = vm.names(lines.length);
  const rest = ['INOUT', 'RDMSR', 'WRMSR', 'HLT', 'INST_EMUL'];
  const all = Object.keys(vm_exitcode).map((name) => name.replace('VM_EXITCODE_', ''));
  t.strictSame(new Set([...names, ...rest, 'MAX']), new Set(all), 'none is left out');
});

t.test('after the last line a vCPU halts, and with it the VM', async (t) => {
  const vm = lab('hlt');
  t.equal(nameOf(vm.run()), 'HLT');
  const last = vm.run();
  t.strictSame([nameOf(last), suspended(last)], ['SUSPENDED', vm_suspend_how.VM_SUSPEND_HALT]);
  t.match(vm.vm, { state: 'suspended', suspendReason: vm_suspend_how.VM_SUSPEND_HALT });
  t.equal(
    codeOf(() => vm.run()),
    'EINVAL',
  );
});

t.test('without halt detection it sleeps, until an NMI that it does not go past', async (t) => {
  const vm = lab('', { haltDetection: false });
  const call = vm.start();
  t.ok(waits(call.outcome));
  vm.ask(...irq(0, 32));
  t.equal(nameOf(exitOf(call)), 'REQIDLE', 'an interrupt takes the lock');
  t.ok(waits(vm.start().outcome), 'and is not taken');
});

t.test('a vCPU without a program idles, whatever comes', async (t) => {
  const vm = lab(null);
  const call = vm.start();
  t.ok(waits(call.outcome));
  t.equal(vm.vm.state, 'running');
  vm.ask(...nmi(0));
  t.equal(nameOf(exitOf(call)), 'REQIDLE');
  t.ok(waits(vm.start().outcome));
});

t.test('a program that is set wakes a vCPU that idles', async (t) => {
  const vm = lab(null);
  const call = vm.start();
  vm.program('out 0x3f8 1 0x42');
  t.equal(nameOf(exitOf(call)), 'INOUT');
});

t.test('`wait` sleeps until an interrupt or NMI, which it takes', async (t) => {
  const vm = lab('wait\nhlt\nwait\npause\nwait\nmtrap\nwait nmi', { release: '14' });
  const first = vm.start();
  t.ok(waits(first.outcome));
  vm.ask(...irq(0, 15 + 1));
  t.equal(nameOf(exitOf(first)), 'HLT', 'FreeBSD 14 takes no lock for it');
  const second = vm.start();
  vm.ask(...nmi(0));
  t.equal(nameOf(exitOf(second)), 'PAUSE');
  vm.ask(...irq(0, 32));
  t.equal(nameOf(vm.run()), 'MTRAP', 'what came before counts too');
});

t.test('since FreeBSD 15 an interrupt takes the lock first; the next VM_RUN goes on', async (t) => {
  const vm = lab('wait\nhlt');
  const call = vm.start();
  vm.ask(...irq(0, 32));
  const exit = exitOf(call);
  t.strictSame([nameOf(exit), exit.inst_length, exit.rip], ['REQIDLE', 0, 0n]);
  t.equal(nameOf(vm.run()), 'HLT');
});

t.test('interrupts without a local APIC that is enabled are lost', async (t) => {
  const vm = lab(null);
  t.ok(waits(vm.start().outcome));
  vm.ask(...irq(0, 32));
  t.notOk(vm.vm.vcpus.get(0)?.lapic.pending);
});

t.test('a signal ends a VM_RUN that waits with BOGUS, and it can be called again', async (t) => {
  for (const text of ['wait\nhlt', 'spin', 'loop\nend', 'loop\nloop\nend\nend']) {
    const vm = lab(text);
    const call = vm.start();
    t.ok(waits(call.outcome), text);
    if ('interrupt' in call.outcome) call.outcome.interrupt();
    t.equal(nameOf(exitOf(call)), 'BOGUS');
    t.ok(waits(vm.start().outcome));
  }
});

t.test('closing the node ends its calls, and the VM no longer runs', async (t) => {
  const vm = lab('hlt\nwait');
  vm.run();
  t.equal(vm.vm.state, 'running', 'also between two calls');
  const call = vm.start();
  vm.node.close();
  t.equal(nameOf(exitOf(call)), 'BOGUS');
  t.equal(vm.vm.state, 'created');
});

t.test('who wants the vCPU makes a VM_RUN end with REQIDLE, a second VM_RUN too', async (t) => {
  const vm = lab('wait\nhlt');
  const first = vm.start();
  t.equal(vm.register(VM_REG_GUEST_RIP), 0n);
  t.equal(nameOf(exitOf(first)), 'REQIDLE');
  const [second, third] = [vm.start(), vm.start()];
  t.equal(nameOf(exitOf(second)), 'REQIDLE');
  t.ok(waits(third.outcome));
});

t.test('a vCPU that VM_SUSPEND_CPU keeps from running gives DEBUG', async (t) => {
  const vm = lab('wait\nhlt\nhlt');
  const call = vm.start();
  vm.pause(-1);
  t.equal(nameOf(exitOf(call)), 'DEBUG');
  t.equal(nameOf(vm.run()), 'DEBUG', 'as often as one asks');
  t.match(vm.vm, { state: 'suspended', suspendReason: vm_suspend_how.VM_SUSPEND_NONE });
  t.strictSame(vm.cpus(VM_DEBUG_CPUS), [0]);
  vm.resume(0);
  t.equal(vm.vm.state, 'running');
  t.ok(waits(vm.start().outcome));
});

t.test('a suspended VM: each vCPU waits for the others, and all get the reason', async (t) => {
  const vm = lab('wait');
  vm.activate(1, 5);
  const first = vm.start(0);
  vm.suspend(vm_suspend_how.VM_SUSPEND_POWEROFF);
  t.ok(waits(first.outcome));
  const second = vm.start(1);
  t.ok(waits(second.outcome));
  t.strictSame(vm.cpus(VM_SUSPENDED_CPUS), [0, 1]);
  const last = vm.run(5);
  const exits = [exitOf(first), exitOf(second), last];
  t.strictSame(exits.map(nameOf), ['SUSPENDED', 'SUSPENDED', 'SUSPENDED']);
  t.strictSame(new Set(exits.map(suspended)), new Set([vm_suspend_how.VM_SUSPEND_POWEROFF]));
});

t.test('SUSPENDED comes when the last vCPU has seen it; then VM_RUN is EINVAL', async (t) => {
  const vm = lab('suspend triplefault\nhlt');
  vm.activate(1);
  const first = vm.start(0);
  t.ok(waits(first.outcome));
  const last = vm.run(1);
  for (const exit of [last, exitOf(first)]) {
    t.strictSame(
      [nameOf(exit), suspended(exit), exit.inst_length],
      ['SUSPENDED', vm_suspend_how.VM_SUSPEND_TRIPLEFAULT, 0],
    );
  }
  t.equal(
    codeOf(() => vm.run(0)),
    'EINVAL',
  );
  vm.reinit();
  t.equal(
    codeOf(() => vm.run(0)),
    'EINVAL',
    'it is not active any more',
  );
});

t.test('VM_REINIT begins the program again', async (t) => {
  const vm = lab('hlt\nsuspend reset\npause');
  t.strictSame(vm.names(2), ['HLT', 'SUSPENDED']);
  vm.reinit();
  vm.activate(0);
  t.strictSame(vm.names(2), ['HLT', 'SUSPENDED']);
});

t.test('a call that wants all vCPUs waits for one that waits for others', async (t) => {
  const vm = lab('wait');
  vm.activate(1);
  const first = vm.start(0);
  vm.suspend(vm_suspend_how.VM_SUSPEND_RESET);
  const reinit = vm.reinit();
  const register = vm.call(VMM_IOCTLS.VM_GET_REGISTER.number, vm_register.encode({}));
  t.ok(waits(reinit));
  t.ok(waits(register));
  t.equal(nameOf(vm.run(1)), 'SUSPENDED');
  t.equal(nameOf(exitOf(first)), 'SUSPENDED');
  t.match(outcomeOf(reinit), { result: 0 });
  t.match(outcomeOf(register), { result: 0 });
  t.match(vm.vm, { state: 'created', suspendReason: 0 });
});

t.test('a memory lock is waited for too, and a signal ends the wait with EINTR', async (t) => {
  const vm = lab('wait');
  vm.activate(1);
  vm.start(0);
  vm.suspend(vm_suspend_how.VM_SUSPEND_RESET);
  const reinit = vm.reinit();
  const { number, size } = VMM_IOCTLS.VM_GET_MEMSEG;
  const memseg = vm.call(number, new Uint8Array(size));
  t.ok(waits(memseg), 'shared, behind one for itself alone');
  if ('interrupt' in reinit) reinit.interrupt();
  t.match(outcomeOf(reinit), { code: 'EINTR' });
  t.match(outcomeOf(memseg), { result: 0 });
});

t.test('a signal while others are waited for is EINTR', async (t) => {
  const vm = lab('suspend halt');
  vm.activate(1);
  const call = vm.start(0);
  if ('interrupt' in call.outcome) call.outcome.interrupt();
  t.match(outcomeOf(call.outcome), { code: 'EINTR' });
});

t.test('halt detection takes all active vCPUs, asleep with interrupts off', async (t) => {
  const vm = lab('wait nmi\nhlt');
  vm.activate(1);
  vm.program('wait\nwait nmi', 1);
  const [first, second] = [vm.start(0), vm.start(1)];
  t.ok(waits(first.outcome) && waits(second.outcome), 'one still takes interrupts');
  vm.ask(...irq(1, 40));
  t.equal(nameOf(exitOf(second)), 'REQIDLE');
  const last = vm.run(1);
  t.strictSame([nameOf(last), suspended(last)], ['SUSPENDED', vm_suspend_how.VM_SUSPEND_HALT]);
  t.equal(nameOf(exitOf(first)), 'SUSPENDED');
});

t.test(
  'destroying suspends first: calls end, also those that wait for vCPUs nobody runs',
  async (t) => {
    const vm = lab('wait');
    vm.activate(1, 2);
    vm.program('spin', 1);
    const calls = [vm.start(0), vm.start(1)];
    vm.vmm.destroy(vm.vm);
    for (const call of calls) {
      const exit = exitOf(call);
      t.strictSame(
        [nameOf(exit), suspended(exit)],
        ['SUSPENDED', vm_suspend_how.VM_SUSPEND_DESTROY],
      );
    }
    t.equal(
      codeOf(() => vm.run()),
      'ENXIO',
    );
  },
);

t.test(
  'destroying a VM that is suspended keeps its reason, and ends calls that wait for locks',
  async (t) => {
    const vm = lab('suspend poweroff');
    vm.activate(1);
    const call = vm.start(0);
    const reinit = vm.reinit();
    vm.vmm.destroy(vm.vm);
    t.equal(suspended(exitOf(call)), vm_suspend_how.VM_SUSPEND_POWEROFF);
    t.match(outcomeOf(reinit), { code: 'ENXIO' });
  },
);

t.test('FreeBSD 14 does not suspend on destroy', async (t) => {
  const vm = lab('wait', { release: '14' });
  const call = vm.start();
  vm.vmm.destroy(vm.vm);
  t.match(outcomeOf(call.outcome), { code: 'ENXIO' });
  const other = lab('hlt', { release: '14' });
  t.equal(
    codeOf(() => other.suspend(vm_suspend_how.VM_SUSPEND_DESTROY)),
    'EINVAL',
    'and knows no such reason',
  );
});

t.test('VM_RESTART_INSTRUCTION gives the same exit again', async (t) => {
  const vm = lab('hlt\nout 0x3f8 1 1\npause');
  vm.names(2);
  vm.ask(VMM_IOCTLS.VM_RESTART_INSTRUCTION.number, Uint8Array.of(0, 0, 0, 0));
  const again = vm.run();
  t.strictSame([nameOf(again), again.rip], ['INOUT', 1n]);
  t.equal(nameOf(vm.run()), 'PAUSE');
});

t.test('RIP that is set is where the vCPU goes on', async (t) => {
  const vm = lab('hlt\nhlt');
  vm.setRegister(VM_REG_GUEST_RIP, 0xfff0n);
  t.equal(vm.run().rip, 0xfff0n);
  t.equal(vm.register(VM_REG_GUEST_RIP), 0xfff0n);
  t.equal(vm.run().rip, 0xfff1n);
});

t.test('the same program gives the same exits', async (t) => {
  const text = 'repeat 3\nout 1 1 7\nmmio write 0x1000 8 9\nipi fixed 1 0-9\nend\nsuspend reset';
  const exits = () => {
    const vm = lab(text);
    return Array.from({ length: 10 }, () => Buffer.from(vm.start().exit).toString('hex'));
  };
  t.strictSame(exits(), exits());
});

t.test('a bad address is EFAULT, and the exit is lost', async (t) => {
  const vm = lab('hlt\npause');
  const { number, size } = VMM_IOCTLS.VM_RUN;
  t.equal(
    codeOf(() => vm.call(number, new Uint8Array(size))),
    'EFAULT',
  );
  t.equal(nameOf(vm.run()), 'PAUSE');
  const waiting = lab('wait\nhlt');
  const call = waiting.call(number, new Uint8Array(size));
  waiting.ask(...nmi(0));
  const end = outcomeOf(call);
  t.ok(end instanceof SystemError && end.code === 'EFAULT');
});

t.test('VM_RUN of a vCPU that is not active is EINVAL', async (t) => {
  const vm = vcpuLab({ maxCpu: 4 });
  for (const cpuid of [0, 3, 4, -1, -2]) {
    t.equal(
      codeOf(() => vm.start(cpuid)),
      'EINVAL',
      `${cpuid}`,
    );
  }
});
