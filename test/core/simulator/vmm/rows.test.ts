/** Each rule for the errors of the ioctls about vCPUs, devices and counters on /dev/vmm/NAME. */
import t from 'tap';
import {
  VM_ACTIVE_CPUS,
  VMM_IOCTLS,
  vm_activate_cpu,
  vm_capability,
  vm_cpuset,
  vm_exception,
  vm_gla2gpa,
  vm_gpa_pte,
  vm_hpet_cap,
  vm_intinfo,
  vm_isa_irq,
  vm_isa_irq_trigger,
  vm_lapic_irq,
  vm_lapic_msi,
  vm_nmi,
  vm_readwrite_kernemu_device,
  vm_register,
  vm_register_set,
  vm_rtc_data,
  vm_rtc_time,
  vm_seg_desc,
  vm_stat_desc,
  vm_stats,
  vm_stats_13,
  vm_x2apic,
} from '../../../../src/core/abi/vmm.js';
import { vm_cap_type, vm_paging_mode, vm_reg_name } from '../../../../src/core/abi/vmm-machine.js';
import { decodeName } from '../../../../src/core/abi/vmmctl.js';
import { STAT_DESCRIPTIONS } from '../../../../src/core/simulator/vmm/stats.js';
import { vmNodeIoctls } from '../../../../src/core/simulator/vmm/vm-node.js';
import { CPUSET_AT, exitOf, vcpuLab, waits } from '../../../helpers/vcpu.js';
import { allocMemseg, codeOf, mapMemseg, user } from '../../../helpers/vmm.js';

type Lab = ReturnType<typeof vcpuLab>;

/** An ioctl by name: `ok`, or its error. */
function code(lab: Lab, name: keyof typeof VMM_IOCTLS, argument: Uint8Array): string {
  return codeOf(() => lab.ask(VMM_IOCTLS[name].number, argument));
}

const ask = (lab: Lab, name: keyof typeof VMM_IOCTLS, argument: Uint8Array) =>
  lab.ask(VMM_IOCTLS[name].number, argument);

t.test('all ioctls but those of snapshots have a row, with the flags of the kernel', async (t) => {
  const rows = vmNodeIoctls({ release: '2026-02', grownRun: false });
  const missing = Object.values(VMM_IOCTLS).filter(({ number }) => !rows.has(number));
  t.strictSame(
    missing.map(({ name }) => name),
    ['VM_SNAPSHOT_REQ', 'VM_SNAPSHOT_REQ_13', 'VM_RESTORE_TIME'],
  );
  const flags = (name: keyof typeof VMM_IOCTLS, release: '14' | '15.0') =>
    vmNodeIoctls({ release, grownRun: false }).get(VMM_IOCTLS[name].number)?.flags;
  const LA = 'LOCK_ALL_VCPUS';
  const expected: Partial<Record<keyof typeof VMM_IOCTLS, string[]>> = {
    VM_RUN: ['LOCK_ONE_VCPU'],
    VM_RUN_13: ['LOCK_ONE_VCPU'],
    VM_SUSPEND: [],
    VM_REINIT: ['XLOCK_MEMSEGS', LA],
    VM_GET_GPA_PMAP: [],
    VM_GLA2GPA: ['LOCK_ONE_VCPU'],
    VM_ALLOC_MEMSEG: ['XLOCK_MEMSEGS', LA],
    VM_GET_MEMSEG: ['SLOCK_MEMSEGS'],
    VM_MMAP_MEMSEG: ['XLOCK_MEMSEGS', LA],
    VM_MMAP_GETNEXT: ['SLOCK_MEMSEGS'],
    VM_MUNMAP_MEMSEG: ['XLOCK_MEMSEGS', LA],
    VM_LAPIC_MSI: [],
    VM_LAPIC_LOCAL_IRQ: ['MAYBE_ALLOC_VCPU'],
    VM_RESTART_INSTRUCTION: ['LOCK_ONE_VCPU'],
    VM_BIND_PPTDEV: ['XLOCK_MEMSEGS', LA, 'PRIV_CHECK_DRIVER'],
    VM_MAP_PPTDEV_MMIO: [LA, 'PRIV_CHECK_DRIVER'],
    VM_PPTDEV_MSI: ['PRIV_CHECK_DRIVER'],
    VM_STATS: ['LOCK_ONE_VCPU'],
    VM_INJECT_NMI: ['LOCK_ONE_VCPU'],
    VM_LAPIC_IRQ: ['LOCK_ONE_VCPU'],
    VM_GET_X2APIC_STATE: ['LOCK_ONE_VCPU'],
    VM_ACTIVATE_CPU: ['LOCK_ONE_VCPU'],
    VM_GET_CPUS: [],
    VM_SUSPEND_CPU: ['MAYBE_ALLOC_VCPU'],
    VM_RESUME_CPU: ['MAYBE_ALLOC_VCPU'],
    VM_RTC_READ: [],
  };
  for (const [name, wanted] of Object.entries(expected)) {
    t.strictSame(flags(name as keyof typeof VMM_IOCTLS, '15.0'), wanted, name);
  }
  for (const name of [
    'VM_STATS',
    'VM_INJECT_NMI',
    'VM_LAPIC_IRQ',
    'VM_GET_X2APIC_STATE',
  ] as const) {
    t.strictSame(flags(name, '14'), ['ALLOC_VCPU'], `${name} in 14`);
  }
});

t.test('the number of a vCPU is the first int, and one that the VM may have', async (t) => {
  const lab = vcpuLab({ maxCpu: 4 });
  const names = [
    'VM_GET_REGISTER',
    'VM_GET_CAPABILITY',
    'VM_STATS',
    'VM_INJECT_NMI',
    'VM_GET_X2APIC_STATE',
    'VM_RESTART_INSTRUCTION',
  ] as const;
  for (const name of names) {
    const at = (vcpu: number) => {
      const argument = new Uint8Array(VMM_IOCTLS[name].size);
      new DataView(argument.buffer).setInt32(0, vcpu, true);
      return code(lab, name, argument);
    };
    t.strictSame([-2, -1, 4, 3].map(at), ['EINVAL', 'EINVAL', 'EINVAL', 'ok'], name);
  }
  for (const name of ['VM_SUSPEND_CPU', 'VM_RESUME_CPU'] as const) {
    const at = (vcpuid: number) => code(lab, name, vm_activate_cpu.encode({ vcpuid }));
    t.strictSame([-2, -1, 4].map(at), ['EINVAL', 'ok', 'EINVAL'], `${name} takes all`);
  }
});

t.test('VM_GET_REGISTER, VM_SET_REGISTER', async (t) => {
  const lab = vcpuLab();
  const get = (regnum: number) => code(lab, 'VM_GET_REGISTER', vm_register.encode({ regnum }));
  const set = (regnum: number, regval = 0n) =>
    code(lab, 'VM_SET_REGISTER', vm_register.encode({ regnum, regval }));
  t.strictSame([0, 48, 49, 0x7fffffff].map(get), ['ok', 'ok', 'EINVAL', 'EINVAL']);
  const vmcs = [0x80000000 | 0x4402, 0x80000000 | 0x7fff, 0x80008000, -1].map((n) => n | 0);
  t.strictSame(vmcs.map(get), ['ok', 'ok', 'EINVAL', 'EINVAL'], 'fields of the VMCS are read');
  t.equal(set(vmcs[0] ?? 0), 'EINVAL', 'and never written');
  t.equal(set(49), 'EINVAL');
  t.equal(set(vm_reg_name.VM_REG_GUEST_INTR_SHADOW), 'ok');
  t.equal(set(vm_reg_name.VM_REG_GUEST_INTR_SHADOW, 1n), 'EINVAL');
  t.equal(set(vm_reg_name.VM_REG_GUEST_TPR), 'EINVAL');
  const value = 0xfedcba9876543210n;
  for (let regnum = 0; regnum < 49; regnum++) {
    if (set(regnum, value) !== 'ok') continue;
    const found = ask(lab, 'VM_GET_REGISTER', vm_register.encode({ regnum }));
    t.equal(vm_register.decode(found).regval, value, `${regnum}`);
  }
});

t.test('VM_GET_REGISTER_SET, VM_SET_REGISTER_SET', async (t) => {
  const lab = vcpuLab();
  const call = (
    name: 'VM_GET_REGISTER_SET' | 'VM_SET_REGISTER_SET',
    numbers: number[],
    values: bigint[],
  ) => {
    const regnums = new Uint8Array(Int32Array.from(numbers).buffer);
    const regvals = new Uint8Array(BigUint64Array.from(values).buffer);
    const argument = vm_register_set.encode({
      count: numbers.length,
      regnums: 0x1000n,
      regvals: 0x2000n,
    });
    const result = codeOf(() =>
      lab.ask(
        VMM_IOCTLS[name].number,
        argument,
        { address: 0x1000n, bytes: regnums },
        { address: 0x2000n, bytes: regvals },
      ),
    );
    return [result, ...new BigUint64Array(regvals.buffer)];
  };
  t.strictSame(call('VM_SET_REGISTER_SET', [0, 20, 1], [1n, 2n, 3n]), ['ok', 1n, 2n, 3n]);
  t.strictSame(call('VM_GET_REGISTER_SET', [1, 0, 20], [0n, 0n, 0n]), ['ok', 3n, 1n, 2n]);
  t.strictSame(call('VM_GET_REGISTER_SET', [0, 49], [9n, 9n]), ['EINVAL', 9n, 9n], 'none');
  t.strictSame(call('VM_SET_REGISTER_SET', [0, 49, 1], [7n, 7n, 7n])[0], 'EINVAL');
  t.strictSame(
    call('VM_GET_REGISTER_SET', [0, 1], [0n, 0n]),
    ['ok', 7n, 3n],
    'those before are set',
  );
  const many = Array.from({ length: 50 }, () => 0);
  t.equal(
    call(
      'VM_GET_REGISTER_SET',
      many,
      many.map(() => 0n),
    )[0],
    'EINVAL',
  );
  t.equal(code(lab, 'VM_GET_REGISTER_SET', vm_register_set.encode({ count: 1 })), 'EFAULT');
  t.equal(code(lab, 'VM_SET_REGISTER_SET', vm_register_set.encode({ count: 1 })), 'EFAULT');
  t.equal(code(lab, 'VM_GET_REGISTER_SET', vm_register_set.encode({})), 'ok', 'none at all');
});

t.test('VM_GET_SEGMENT_DESCRIPTOR, VM_SET_SEGMENT_DESCRIPTOR', async (t) => {
  const lab = vcpuLab();
  const desc = { base: 0xffff0000n, limit: 0xffff, access: 0x93 };
  const taken: string[] = [];
  for (const [name, regnum] of Object.entries(vm_reg_name)) {
    if (code(lab, 'VM_SET_SEGMENT_DESCRIPTOR', vm_seg_desc.encode({ regnum, desc })) !== 'ok') {
      continue;
    }
    taken.push(name.replace('VM_REG_GUEST_', ''));
    const found = ask(lab, 'VM_GET_SEGMENT_DESCRIPTOR', vm_seg_desc.encode({ regnum }));
    t.strictSame(vm_seg_desc.decode(found).desc, desc);
  }
  t.strictSame(taken, ['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'LDTR', 'TR', 'IDTR', 'GDTR']);
  t.equal(code(lab, 'VM_GET_SEGMENT_DESCRIPTOR', vm_seg_desc.encode({ regnum: 0 })), 'EINVAL');
});

t.test('VM_GET_CAPABILITY, VM_SET_CAPABILITY: those of an Intel processor', async (t) => {
  const lab = vcpuLab();
  const get = (captype: number) => {
    const argument = vm_capability.encode({ captype });
    const result = code(lab, 'VM_GET_CAPABILITY', argument);
    return result === 'ok'
      ? vm_capability.decode(ask(lab, 'VM_GET_CAPABILITY', argument)).capval
      : result;
  };
  const set = (captype: number, capval = 1) =>
    code(lab, 'VM_SET_CAPABILITY', vm_capability.encode({ captype, capval }));
  const all = Array.from({ length: vm_cap_type.VM_CAP_MAX }, (_, i) => i);
  t.strictSame(all.map(get), [0, 0, 0, 0, 0, 0, 1, 1, 0, 'ENOENT', 'ENOENT']);
  const settable = ['ok', 'ok', 'ok', 'ok', 'ok', 'ok', 'ENOENT', 'ENOENT', 'ok', 'ok', 'ENOENT'];
  t.strictSame(
    all.map((type) => set(type)),
    settable,
  );
  t.strictSame(all.map(get), [1, 1, 1, 1, 1, 1, 1, 1, 1, 'ENOENT', 'ENOENT']);
  t.equal(set(0, 0), 'ok');
  t.equal(get(0), 0);
  t.strictSame([get(11), set(11), get(0xffffffff)], ['EINVAL', 'EINVAL', 'EINVAL']);
});

t.test('VM_GET_CPUS: sizes by release', async (t) => {
  const sizes = (release: '14' | '15.0', active: number) => {
    const lab = vcpuLab({ release });
    lab.activate(0, active);
    return [0, 1, 2, 127, 128, 129, 0x7fffffff, -1].map((cpusetsize) =>
      codeOf(() => {
        const bytes = new Uint8Array(256);
        const argument = vm_cpuset.encode({ which: VM_ACTIVE_CPUS, cpusetsize, cpus: CPUSET_AT });
        lab.ask(VMM_IOCTLS.VM_GET_CPUS.number, argument, { address: CPUSET_AT, bytes });
      }),
    );
  };
  const E = 'ERANGE';
  t.strictSame(sizes('15.0', 7), [E, 'ok', 'ok', 'ok', 'ok', E, E, E]);
  t.strictSame(sizes('15.0', 8), [E, E, 'ok', 'ok', 'ok', E, E, E], 'where CPU 8 has no place');
  t.strictSame(sizes('14', 1), [E, E, E, E, 'ok', E, E, E], "its own set's size");
  const lab = vcpuLab();
  lab.activate(0, 9);
  t.strictSame(lab.cpus(VM_ACTIVE_CPUS, 2), [0, 9]);
  t.equal(code(lab, 'VM_GET_CPUS', vm_cpuset.encode({ which: 3, cpusetsize: 8 })), 'EINVAL');
  t.equal(code(lab, 'VM_GET_CPUS', vm_cpuset.encode({ cpusetsize: 8 })), 'EFAULT');
});

t.test('VM_SUSPEND_CPU, VM_RESUME_CPU', async (t) => {
  const lab = vcpuLab({ maxCpu: 4 });
  t.equal(
    codeOf(() => lab.pause(0)),
    'EINVAL',
    'one that is not active',
  );
  lab.activate(0, 1);
  t.equal(
    codeOf(() => lab.resume(0)),
    'EINVAL',
    'one that was not suspended',
  );
  lab.pause(1);
  t.equal(lab.vm.state, 'created', 'others may run');
  lab.pause(-1);
  t.equal(lab.vm.state, 'suspended');
  lab.resume(1);
  t.equal(lab.vm.state, 'created');
  lab.resume(-1);
  t.strictSame(lab.cpus(2), []);
});

t.test('VM_STATS, VM_STAT_DESC', async (t) => {
  const lab = vcpuLab();
  const total = STAT_DESCRIPTIONS.length;
  const read = (index: number) => {
    const argument = vm_stats.encode({ index });
    const result = code(lab, 'VM_STATS', argument);
    return result === 'ok' ? vm_stats.decode(ask(lab, 'VM_STATS', argument)).num_entries : result;
  };
  t.strictSame([-1, 0, 3, total - 1].map(read), ['EINVAL', total, total - 3, 1]);
  t.strictSame([total, total + 1, 0x7fffffff].map(read), [0, 'ENOENT', 'ENOENT']);
  const old = vm_stats_13.decode(ask(lab, 'VM_STATS_13', vm_stats_13.encode({})));
  t.equal(old.num_entries, total);
  t.match(old.tv, { tv_sec: BigInt(Date.UTC(2026, 0, 1) / 1000), tv_usec: 0n });
  const desc = (index: number) =>
    decodeName(vm_stat_desc.decode(ask(lab, 'VM_STAT_DESC', vm_stat_desc.encode({ index }))).desc);
  t.equal(desc(1), 'total number of vm exits');
  t.equal(desc(total - 1), 'lvts triggered[6]', 'one of several');
  for (const index of [-1, total, 0x7fffffff]) {
    t.equal(code(lab, 'VM_STAT_DESC', vm_stat_desc.encode({ index })), 'EINVAL');
  }
});

t.test('counters count', async (t) => {
  const lab = vcpuLab();
  lab.program('out 1 1 1\nhlt\nrdmsr 1\nwait\nmmio read 0 1\nspin');
  lab.activate(0);
  const count = (text: string) => {
    const { statbuf } = vm_stats.decode(ask(lab, 'VM_STATS', vm_stats.encode({})));
    return Number(statbuf[STAT_DESCRIPTIONS.indexOf(text)]);
  };
  for (let i = 0; i < 3; i++) lab.run();
  t.equal(count('total number of vm exits'), 3);
  t.equal(count('number of vm exits handled in userspace'), 3);
  t.equal(count('number of times in/out was intercepted'), 1);
  const sleeping = lab.start();
  t.ok(waits(sleeping.outcome));
  lab.clock.advance(1500);
  ask(lab, 'VM_INJECT_NMI', vm_nmi.encode({}));
  t.equal(count('number of ticks vcpu was idle'), 1500);
  t.equal(count('number of times idle requested at exit'), 1);
  lab.run();
  t.equal(count('number of NMIs delivered to vcpu'), 1);
  t.equal(count('vm exits for instruction emulation'), 1);
  const spinning = lab.start();
  lab.clock.advance(20);
  t.equal(count('vcpu total runtime'), 20_000_000);
  t.equal(exitOf(spinning).exitcode, 20);
  t.equal(count('number of times hlt was intercepted'), 3, 'in the kernel too');
});

t.test('VM_INJECT_EXCEPTION', async (t) => {
  const lab = vcpuLab();
  const inject = (vector: number) =>
    code(lab, 'VM_INJECT_EXCEPTION', vm_exception.encode({ vector }));
  t.strictSame([-1, 8, 32, 13, 14].map(inject), ['EINVAL', 'EINVAL', 'EINVAL', 'ok', 'EBUSY']);
  const info = (name: 'info1' | 'info2') =>
    vm_intinfo.decode(ask(lab, 'VM_GET_INTINFO', vm_intinfo.encode({})))[name];
  t.equal(info('info2'), 0x8000030dn);
  lab.program('hlt');
  lab.activate(0);
  lab.run();
  t.equal(info('info2'), 0n, 'the vCPU has taken it');
  const argument = vm_exception.encode({ vector: 13, error_code: 0x18, error_code_valid: 1 });
  ask(lab, 'VM_INJECT_EXCEPTION', argument);
  t.equal(info('info2'), 0x0000001880000b0dn, 'with its error code');
});

t.test('VM_SET_INTINFO', async (t) => {
  const lab = vcpuLab();
  const set = (info1: bigint) => code(lab, 'VM_SET_INTINFO', vm_intinfo.encode({ info1 }));
  t.equal(set(0x80000203n), 'EINVAL', 'an NMI is vector 2');
  t.equal(set(0x80000202n), 'ok');
  t.equal(set(0x80000320n), 'EINVAL', 'exceptions are below 32');
  t.equal(set(0x8000130dn), 'EINVAL', 'reserved bits');
  const { info1 } = vm_intinfo.decode(ask(lab, 'VM_GET_INTINFO', vm_intinfo.encode({})));
  t.equal(info1, 0x80000202n);
  t.equal(set(0x7fffffffn), 'ok', 'what is not valid is nothing');
  t.equal(vm_intinfo.decode(ask(lab, 'VM_GET_INTINFO', vm_intinfo.encode({}))).info1, 0n);
});

t.test('interrupts: numbers that are taken', async (t) => {
  const lab = vcpuLab();
  lab.activate(0);
  const lapic = (vector: number) => code(lab, 'VM_LAPIC_IRQ', vm_lapic_irq.encode({ vector }));
  t.strictSame([15, 16, 255, 256, -1].map(lapic), ['EINVAL', 'ok', 'ok', 'EINVAL', 'EINVAL']);
  t.equal(code(lab, 'VM_INJECT_NMI', vm_nmi.encode({})), 'ok');
  const local = (vector: number, cpuid = 0) =>
    code(lab, 'VM_LAPIC_LOCAL_IRQ', vm_lapic_irq.encode({ cpuid, vector }));
  t.strictSame([local(7), local(-1)], ['ok', 'ok'], 'ignored while the local APIC is disabled');
  lab.program('hlt');
  t.strictSame(
    [-1, 0, 6, 7].map((lvt) => local(lvt)),
    ['EINVAL', 'ok', 'ok', 'EINVAL'],
  );
  t.strictSame([local(7, -1), local(0, -1)], ['EINVAL', 'ok'], 'all that are active');
  const msi = (addr: bigint) =>
    code(lab, 'VM_LAPIC_MSI', vm_lapic_msi.encode({ addr, msg: 0x30n }));
  t.strictSame([0xfee00000n, 0xfeefffffn, 0xfef00000n, 0n].map(msi), [
    'ok',
    'ok',
    'EINVAL',
    'EINVAL',
  ]);
  const pin = (name: 'VM_IOAPIC_ASSERT_IRQ' | 'VM_IOAPIC_DEASSERT_IRQ' | 'VM_IOAPIC_PULSE_IRQ') =>
    [-1, 0, 31, 32].map((irq) => code(lab, name, new Uint8Array(Int32Array.of(irq).buffer)));
  for (const name of [
    'VM_IOAPIC_ASSERT_IRQ',
    'VM_IOAPIC_DEASSERT_IRQ',
    'VM_IOAPIC_PULSE_IRQ',
  ] as const) {
    t.strictSame(pin(name), ['EINVAL', 'ok', 'ok', 'EINVAL'], name);
  }
  const [pins] = new Int32Array(ask(lab, 'VM_IOAPIC_PINCOUNT', new Uint8Array(4)).slice().buffer);
  t.equal(pins, 32);
  const isa = (atpic_irq: number, ioapic_irq: number) =>
    code(lab, 'VM_ISA_PULSE_IRQ', vm_isa_irq.encode({ atpic_irq, ioapic_irq }));
  t.strictSame(
    [isa(-1, 0), isa(16, 0), isa(15, -1), isa(4, 32)],
    ['EINVAL', 'EINVAL', 'ok', 'EINVAL'],
  );
  const level = (atpic_irq: number) =>
    code(lab, 'VM_ISA_SET_IRQ_TRIGGER', vm_isa_irq_trigger.encode({ atpic_irq, trigger: 1 }));
  t.strictSame([0, 1, 2, 8, 13].map(level), Array(5).fill('EINVAL'));
  t.strictSame([3, 15, 16].map(level), ['ok', 'ok', 'EINVAL']);
});

t.test('a message and a local vector wake the vCPU that they are for', async (t) => {
  const lab = vcpuLab();
  lab.program('wait\nhlt\nwait\npause', 1);
  lab.activate(0, 1);
  const call = lab.start(1);
  const msi = (addr: bigint) => ask(lab, 'VM_LAPIC_MSI', vm_lapic_msi.encode({ addr, msg: 0x30n }));
  msi(0xfee00000n);
  t.ok(waits(call.outcome), 'that was for vCPU 0');
  msi(0xfee01000n);
  t.equal(exitOf(call).exitcode, 5);
  const kernemu = { vcpuid: 1, access_width: 2 };
  const lvt = { ...kernemu, gpa: 0xfee00350n, value: 0x40n };
  ask(lab, 'VM_SET_KERNEMU_DEV', vm_readwrite_kernemu_device.encode(lvt));
  const again = lab.start(1);
  ask(lab, 'VM_LAPIC_LOCAL_IRQ', vm_lapic_irq.encode({ cpuid: -1, vector: 0 }));
  t.equal(exitOf(again).exitcode, 7, 'LINT0, whose vector is not masked any more');
});

t.test('VM_GET_KERNEMU_DEV, VM_SET_KERNEMU_DEV', async (t) => {
  const lab = vcpuLab();
  const get = (gpa: bigint, access_width = 2) => {
    const argument = vm_readwrite_kernemu_device.encode({ gpa, access_width });
    const result = code(lab, 'VM_GET_KERNEMU_DEV', argument);
    return result === 'ok'
      ? vm_readwrite_kernemu_device.decode(ask(lab, 'VM_GET_KERNEMU_DEV', argument)).value
      : result;
  };
  const set = (gpa: bigint, value: bigint, access_width = 2) =>
    code(
      lab,
      'VM_SET_KERNEMU_DEV',
      vm_readwrite_kernemu_device.encode({ gpa, value, access_width }),
    );
  t.strictSame(
    [0n, 0xfebffffcn, 0xfee01000n, 2n ** 64n - 4n].map((gpa) => get(gpa)),
    Array(4).fill('EINVAL'),
  );
  t.strictSame([get(0xfee000f0n), get(0xfee00350n)], [0xffn, 0x10000n], 'as after a reset');
  t.equal(get(0xfee000f4n), 'EINVAL', 'registers of the local APIC are 16 bytes apart');
  t.equal(get(0xfee000f0n, 0), 'EINVAL');
  t.equal(set(0xfec00000n, 1n), 'ok');
  t.equal(get(0xfec00010n), 0x1f0011n, 'version and pins of the I/O APIC');
  t.strictSame([set(0xfec00000n, 0x12n), get(0xfec00010n)], ['ok', 0x10000n]);
  t.equal(get(0xfed00000n, 3), 0x038d7ea480860701n, 'the HPET: period and capabilities');
  t.strictSame([set(0xfed00014n, 0xabcdn), get(0xfed00010n, 3)], ['ok', 0xabcd00000000n]);
  t.equal(get(0xfed00012n), 'EINVAL');
});

t.test('VM_SET_X2APIC_STATE, VM_GET_HPET_CAPABILITIES, VM_GET_GPA_PMAP', async (t) => {
  const lab = vcpuLab();
  const set = (state: number) => code(lab, 'VM_SET_X2APIC_STATE', vm_x2apic.encode({ state }));
  t.strictSame([0, 1, 2, 0xffffffff].map(set), ['ok', 'ok', 'EINVAL', 'EINVAL']);
  t.equal(vm_x2apic.decode(ask(lab, 'VM_GET_X2APIC_STATE', vm_x2apic.encode({}))).state, 1);
  const hpet = ask(lab, 'VM_GET_HPET_CAPABILITIES', new Uint8Array(4));
  t.equal(vm_hpet_cap.decode(hpet).capabilities, 0x80860701);
  const pmap = vm_gpa_pte.decode(ask(lab, 'VM_GET_GPA_PMAP', vm_gpa_pte.encode({ gpa: 0x1000n })));
  t.strictSame(pmap, { gpa: 0x1000n, pte: [0n, 0n, 0n, 0n], ptenum: 1 });
});

t.test('VM_GLA2GPA: identity without paging, a fault with it', async (t) => {
  const lab = vcpuLab();
  const walk = (name: 'VM_GLA2GPA' | 'VM_GLA2GPA_NOFAULT', paging_mode: number) => {
    const paging = { cr3: 0x1000n, cpl: 0, cpu_mode: 0, paging_mode };
    const argument = vm_gla2gpa.encode({ gla: 0x2345n, paging });
    const result = code(lab, name, argument);
    if (result !== 'ok') return result;
    const { gpa, fault } = vm_gla2gpa.decode(ask(lab, 'VM_GLA2GPA_NOFAULT', argument));
    return [gpa, fault];
  };
  t.strictSame(walk('VM_GLA2GPA', vm_paging_mode.PAGING_MODE_FLAT), [0x2345n, 0]);
  t.equal(walk('VM_GLA2GPA', vm_paging_mode.PAGING_MODE_64), 'EFAULT', 'no memory for tables');
  allocMemseg(lab.node, 0, 0x10000n);
  mapMemseg(lab.node, { gpa: 0n, len: 0x10000n });
  t.strictSame(walk('VM_GLA2GPA_NOFAULT', vm_paging_mode.PAGING_MODE_PAE), [0n, 1]);
  t.equal(lab.vm.vcpus.get(0)?.exception, undefined);
  t.strictSame(walk('VM_GLA2GPA', vm_paging_mode.PAGING_MODE_PAE), [0n, 1]);
  t.match(lab.vm.vcpus.get(0)?.exception, { vector: 14, errorCode: 0 }, 'the guest gets it');
});

t.test('VM_RTC_*: bytes and time', async (t) => {
  const lab = vcpuLab();
  const read = (offset: number) => {
    const argument = vm_rtc_data.encode({ offset });
    const result = code(lab, 'VM_RTC_READ', argument);
    return result === 'ok' ? vm_rtc_data.decode(ask(lab, 'VM_RTC_READ', argument)).value : result;
  };
  const write = (offset: number) =>
    code(lab, 'VM_RTC_WRITE', vm_rtc_data.encode({ offset, value: 0xab }));
  t.strictSame([-1, 0, 127, 128].map(read), ['EINVAL', 0, 0, 'EINVAL']);
  t.strictSame([-1, 0, 13, 0x32, 128].map(write), Array(5).fill('EINVAL'));
  t.strictSame([14, 127].map(write), ['ok', 'ok']);
  t.equal(read(14), 0xab);
  t.strictSame([0xa, 0xb, 0xd].map(read), [0x20, 0x02, 0x80]);
  const time = () => vm_rtc_time.decode(ask(lab, 'VM_RTC_GETTIME', new Uint8Array(8))).secs;
  t.equal(time(), 0n, 'it begins in 1970');
  const date = () => [0x32, 9, 8, 7, 6, 4, 2, 0].map((offset) => Number(read(offset)).toString(16));
  const set = (secs: bigint) => ask(lab, 'VM_RTC_SETTIME', vm_rtc_time.encode({ secs }));
  set(BigInt(Date.UTC(2024, 1, 29, 23, 59, 58) / 1000));
  t.strictSame(date(), ['20', '24', '2', '29', '5', '23', '59', '58'], 'a Thursday');
  lab.clock.advance(2999);
  t.strictSame(date(), ['20', '24', '3', '1', '6', '0', '0', '0']);
  for (const day of ['1970-01-01', '1999-12-31', '2000-02-29', '2100-03-01', '9999-12-31']) {
    set(BigInt(Date.parse(day) / 1000));
    const [century, year, month, dayOfMonth] = date().map((digits) => digits.padStart(2, '0'));
    t.equal(`${century}${year}-${month}-${dayOfMonth}`, day);
  }
  set(-(2n ** 63n));
  t.equal(time(), -(2n ** 63n));
  t.equal(read(9), 0x70);
});

t.test('devices that are passed through: privilege first, then there is none', async (t) => {
  const names = [
    'VM_BIND_PPTDEV',
    'VM_UNBIND_PPTDEV',
    'VM_MAP_PPTDEV_MMIO',
    'VM_UNMAP_PPTDEV_MMIO',
    'VM_PPTDEV_MSI',
    'VM_PPTDEV_MSIX',
    'VM_PPTDEV_DISABLE_MSIX',
  ] as const;
  const codes = (lab: Lab) =>
    names.map((name) => code(lab, name, new Uint8Array(VMM_IOCTLS[name].size)));
  t.strictSame(codes(vcpuLab()), ['ENXIO', ...Array(6).fill('ENOENT')]);
  const privileged = user(1000, { capabilities: new Set(['PRIV_VMM_CREATE']) });
  t.strictSame(codes(vcpuLab({}, privileged)), Array(7).fill('EPERM'));
  const driver = user(1000, { capabilities: new Set(['PRIV_VMM_CREATE', 'PRIV_DRIVER']) });
  t.equal(codes(vcpuLab({}, driver))[0], 'ENXIO');
});
