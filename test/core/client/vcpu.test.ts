/** vCPUs through the nodes of the simulated kernel: run, compared, paused, reset, counted, looked at. */
import t from 'tap';
import type { DeviceNode } from '../../../src/core/backend/port/node.js';
import { compareAbis } from '../../../src/core/client/exit-compare.js';
import { answered } from '../../../src/core/client/exit-input.js';
import type { Exit } from '../../../src/core/client/exits.js';
import { withVm } from '../../../src/core/client/open-vm.js';
import { type AbiName, RUN_ABIS } from '../../../src/core/client/run-abi.js';
import { activateVcpu, exitsOf, isLast, readCpuSets } from '../../../src/core/client/vcpu.js';
import { inspectVm, listVms } from '../../../src/core/client/vm.js';
import { pauseVm, powerOffVm, resetVm, resumeVm } from '../../../src/core/client/vm-power.js';
import { readVcpu } from '../../../src/core/client/vmm-registers.js';
import { readVmStats } from '../../../src/core/client/vmm-stats.js';
import { Kernel } from '../../helpers/kernel.js';

const CPUS = [0, 63, 64, 255, 256, 1023];

/** A kernel with a VM whose vCPU 0 has a program. */
function kernelWith(program: string): Kernel {
  return new Kernel().add('web1').program('web1', 0, program);
}

async function run(
  node: DeviceNode,
  { abi = '15', cpusetSize = 128, count = 100 }: RunOptions = {},
): Promise<Exit[]> {
  await activateVcpu(node, 0);
  const exits: Exit[] = [];
  for await (const exit of exitsOf(node, 0, { abi: RUN_ABIS[abi], cpusetSize })) {
    exits.push(exit);
    if (exits.length === count || isLast(exit.record, true)) break;
  }
  return exits;
}

interface RunOptions {
  abi?: AbiName;
  cpusetSize?: number;
  count?: number;
}

const opened = <T>(kernel: Kernel, work: (node: DeviceNode) => Promise<T>) =>
  withVm(kernel, 'web1', work);

t.test('a program shows its exits, and the end of it', async (t) => {
  const kernel = kernelWith('out 0x3f8 1 0x41\nin 0x60 1\nwrmsr 0x10 7\nhlt');
  const exits = await opened(kernel, (node) => run(node));
  t.match(
    exits.map(({ record }) => record),
    [
      { exit: 'INOUT', port: 0x3f8, eax: 0x41, bytes: 1, in: false },
      { exit: 'INOUT', port: 0x60, in: true },
      { exit: 'WRMSR', code: 0x10, wval: 7n },
      { exit: 'HLT' },
      { exit: 'SUSPENDED', how: 'HALT' },
    ],
  );
  await t.rejects(
    opened(kernel, (node) => run(node)),
    { code: 'EINVAL', message: /suspended/ },
  );
});

t.test('the CPUs of an IPI, in every form and with every size of the set', async (t) => {
  const all: [AbiName, number, number][] = [
    ['15', 0, 0],
    ['15', 8, 64],
    ['15', 32, 256],
    ['15', 128, 1024],
    ['15', 256, 1024],
    ['13', 8, 256],
    ['grown', 8, 1024],
  ];
  for (const [abi, cpusetSize, below] of all) {
    const kernel = kernelWith(`ipi fixed 0x20 ${CPUS.join(',')}`);
    const [exit] = await opened(kernel, (node) => run(node, { abi, cpusetSize, count: 1 }));
    const cpus = CPUS.filter((cpu) => cpu < below);
    t.match(exit?.record, { exit: 'IPI', vector: 0x20, cpus }, `${abi}, ${cpusetSize} bytes`);
    t.equal(exit?.raw[1]?.bytes.length, abi === '15' ? cpusetSize : undefined);
  }
});

t.test('two forms differ where the set does not fit, and nowhere else', async (t) => {
  const program = 'out 0x3f8 1 1\nipi fixed 32 0,63,256\nmmio read 0xd0000000 4\nhlt\nin 0x60 1';
  const kernel = kernelWith(program);
  let prepared = 0;
  const prepare = async () => {
    prepared += 1;
  };
  const options = { vcpu: 0, count: 100, cpusetSize: 128, inputs: new Map(), prepare };
  const both = await opened(kernel, (node) => compareAbis(node, 'web1', ['13', '15'], options));
  t.equal(prepared, 2);
  t.same(both.differences, [
    {
      exit: 2,
      field: 'cpus',
      values: [
        [0, 63],
        [0, 63, 256],
      ],
    },
  ]);
  t.same(
    both.exits[0].map(({ record }) => record.exit),
    ['INOUT', 'IPI', 'INST_EMUL', 'HLT', 'INOUT', 'SUSPENDED'],
  );
  const grown = await opened(kernel, (node) => compareAbis(node, 'web1', ['grown', '15'], options));
  t.same(grown.differences, [], 'the grown one has room for all');
  const small = { ...options, cpusetSize: 8, count: 2 };
  const cut = await opened(kernel, (node) => compareAbis(node, 'web1', ['13', '15'], small));
  t.same(cut.differences, [], 'neither has room for 256');
  t.equal(cut.exits[1].length, 2);
});

t.test('whatever a program does, two forms differ in the CPUs of an IPI alone', async (t) => {
  const lines = [
    'out 0x3f8 4 0x41',
    'in 0x60 2',
    'outs 0x3f8 1 7',
    'ins 0x60 1',
    'mmio read 0xd0000000 8',
    'mmio write 0xd0000000 2 5',
    'paging 0x200000 write',
    'rdmsr 0x1b',
    'wrmsr 0xc0000080 0xfffffffffffffff',
    'ipi nmi 2 all',
    'ipi fixed 255 255',
    'ipi startup 1 256-260',
    'task_switch 0x28 gate',
    'spinup_ap 3 0x8000',
    'eoi 48',
    'vmx 48 0x181',
    'svm 0x7b 1 2',
    ...['mtrap', 'pause', 'bpt', 'db', 'monitor', 'mwait', 'vminsn', 'rendezvous'],
    ...['bogus', 'reqidle', 'debug', 'hlt'],
    `exit 9 15 ${'c3'.repeat(120)}`,
    `exit 24 3 ${'ff'.repeat(120)}`,
    'suspend triplefault',
  ];
  const kernel = kernelWith(lines.join('\n'));
  const prepare = async () => undefined;
  const options = { vcpu: 0, count: 100, cpusetSize: 128, inputs: new Map(), prepare };
  for (const pair of [
    ['13', '15'],
    ['13', 'grown'],
  ] as const) {
    const both = await opened(kernel, (node) => compareAbis(node, 'web1', pair, options));
    t.equal(both.exits[0].length, lines.length);
    t.match(both.exits[0].at(-1)?.record, { exit: 'SUSPENDED', how: 'TRIPLEFAULT' });
    const found = both.differences.map(({ exit, field }) => `${lines[exit - 1]}: ${field}`);
    t.same(found, ['ipi nmi 2 all: cpus', 'ipi startup 1 256-260: cpus'], pair.join());
  }
  const same = await opened(kernel, (node) => compareAbis(node, 'web1', ['15', 'grown'], options));
  t.same(same.differences, []);
});

t.test('a comparison that ends early says which exits are not there', async (t) => {
  const kernel = kernelWith('repeat 3\nhlt\nend');
  let first = true;
  const prepare = async () => {
    kernel.program('web1', 0, first ? 'hlt' : 'hlt\nhlt');
    first = false;
  };
  const options = { vcpu: 0, count: 100, cpusetSize: 8, inputs: new Map(), prepare };
  const both = await opened(kernel, (node) => compareAbis(node, 'web1', ['13', '15'], options));
  const missing = both.differences.filter(({ exit }) => exit === 3);
  t.match(missing[0], { field: 'exit', values: [null, 'SUSPENDED'] });
  const changed = both.differences.filter(({ exit }) => exit === 2);
  t.match(changed[0], { field: 'exit', values: ['SUSPENDED', 'HLT'] });
});

t.test('a guest that reads gets what was given', async (t) => {
  const kernel = kernelWith('in 0x61 4 0x12345678\nin 0x60 1\nin 0x60 4');
  const inputs = new Map([[0x60n, 0xabcdefffn]]);
  const read: unknown[] = [];
  await opened(kernel, async (node) => {
    await activateVcpu(node, 0);
    const exits = exitsOf(node, 0, { abi: RUN_ABIS['15'], cpusetSize: 8 });
    for await (const { record } of answered(exits, node, inputs)) {
      read.push((await readVcpu(node, 0)).registers.rax);
      if (read.length === 3) break;
      t.equal(record.exit, 'INOUT');
    }
  });
  t.same(read, [0x12345678n, 0x123456ffn, 0xabcdefffn], 'as many bytes as it reads');
});

t.test('a paused vCPU shows DEBUG once, and goes on when it is resumed', async (t) => {
  const kernel = kernelWith('loop\nout 0x80 1\nend');
  await t.rejects(pauseVm(undefined)(kernel, 'web1'), { code: 'EINVAL', message: /no vCPU/ });
  await opened(kernel, (node) => run(node, { count: 1 }));
  await pauseVm(undefined)(kernel, 'web1');
  t.match(await listVms(kernel), [{ state: 'suspended', reason: 'paused' }]);
  const exits: string[] = [];
  await opened(kernel, async (node) => {
    for await (const { record } of exitsOf(node, 0, { abi: RUN_ABIS['15'], cpusetSize: 8 })) {
      exits.push(record.exit);
      if (record.exit === 'DEBUG') setImmediate(() => resumeVm(0)(kernel, 'web1'));
      if (exits.length === 3) break;
    }
  });
  t.same(exits, ['DEBUG', 'INOUT', 'INOUT']);
  await t.rejects(resumeVm(undefined)(kernel, 'web1'), { code: 'EINVAL', message: /paused/ });
  await t.rejects(resumeVm(0)(kernel, 'web1'), { code: 'EINVAL', message: /vCPU 0 .* not paused/ });
  await t.rejects(pauseVm(5)(kernel, 'web1'), { code: 'EINVAL', message: /vCPU 5 .* not active/ });
});

t.test('a run that waits ends with its signal', async (t) => {
  const kernel = kernelWith('wait');
  const end = new AbortController();
  await opened(kernel, async (node) => {
    await activateVcpu(node, 0);
    const options = { cpusetSize: 8, signal: end.signal };
    const exits = exitsOf(node, 0, { ...options, abi: RUN_ABIS['15'] });
    const next = exits.next();
    setImmediate(() => end.abort());
    await t.rejects(next, { code: 'EINTR' });
  });
});

t.test('a VM that is switched off stays so, until it is reset', async (t) => {
  const kernel = kernelWith('loop\nout 0x80 1\nend');
  await opened(kernel, (node) => run(node, { count: 2 }));
  await powerOffVm(kernel, 'web1');
  t.equal(kernel.vms.get('web1')?.state, 'suspended');
  await t.rejects(powerOffVm(kernel, 'web1'), { code: 'EALREADY', hint: /vmmctl reset web1/ });
  const [exit] = await opened(kernel, (node) => run(node));
  t.match(exit?.record, { exit: 'SUSPENDED', how: 'POWEROFF' });
  t.match(await inspectVm(kernel, 'web1'), { state: 'suspended', cpuSets: { suspended: [0] } });
  await resetVm(kernel, 'web1');
  t.match(await inspectVm(kernel, 'web1'), { state: null, cpuSets: { active: [] } });
  t.match((await opened(kernel, (node) => run(node, { count: 1 })))[0]?.record, { exit: 'INOUT' });
});

t.test('a reset stops vCPUs that nobody runs, and those that somebody does', async (t) => {
  const kernel = kernelWith('wait').program('web1', 1, 'wait');
  await opened(kernel, async (node) => {
    for (const vcpu of [0, 1, 2]) await activateVcpu(node, vcpu);
    const running = RUN_ABIS['15'].run(node, 0, { cpusetSize: 8 });
    await resetVm(kernel, 'web1');
    t.match((await running).record, { exit: 'SUSPENDED', how: 'RESET' });
    t.same(await readCpuSets(node), { active: [], suspended: [], debug: [] });
  });
  await resetVm(kernel, 'web1');
  t.pass('one that was never run can be reset too');
});

t.test('counters have the words of the kernel', async (t) => {
  const kernel = kernelWith('out 0x80 1\nhlt');
  t.match(await opened(kernel, (node) => readVmStats(node, 'web1', undefined)), [{ vcpu: 0 }]);
  await opened(kernel, (node) => run(node, { count: 2 }));
  const [stats, ...others] = await opened(kernel, (node) => readVmStats(node, 'web1', undefined));
  t.same(others, []);
  t.match(stats, { vm: 'web1', vcpu: 0, time: /Z$/ });
  t.equal(stats?.counters['total number of vm exits'], 2n);
  t.ok(Object.keys(stats?.counters ?? {}).length > 20);
  await t.rejects(
    opened(kernel, (node) => readVmStats(node, 'web1', 5000)),
    { code: 'EINVAL' },
  );
});

t.test('a vCPU is shown with all it has', async (t) => {
  const kernel = kernelWith('wrmsr 0x10 0x123456789');
  await opened(kernel, (node) => run(node, { count: 1 }));
  const vcpu = await opened(kernel, (node) => readVcpu(node, 0));
  t.match(vcpu, { vcpu: 0, registers: { rcx: 0x10n, rax: 0x23456789n, rdx: 1n } });
  t.equal(Object.keys(vcpu.registers).length, 49);
  t.equal(Object.keys(vcpu.descriptors).length, 10);
  t.equal(Object.keys(vcpu.capabilities).length, 11);
  t.match(vcpu, { x2apic: Boolean, intinfo: { info1: 0n } });
  await t.rejects(
    opened(kernel, (node) => readVcpu(node, 5000)),
    { code: 'EINVAL', message: /no vCPU 5000/ },
  );
  await t.rejects(
    opened(kernel, (node) => activateVcpu(node, 5000)),
    { code: 'EINVAL', message: /no vCPU 5000/ },
  );
});

t.test('a VM that is not there, or no more, is ENOENT', async (t) => {
  const kernel = kernelWith('wait');
  await t.rejects(powerOffVm(kernel, 'web2'), { code: 'ENOENT', message: /no VM 'web2'/ });
  const gone = opened(kernel, async (node) => {
    kernel.remove('web1');
    await readCpuSets(node);
  });
  await t.rejects(gone, { code: 'ENOENT', message: /has been destroyed/ });
  await t.rejects(powerOffVm(new Kernel({ bare: true }), 'web1'), { code: 'ENXIO' });
});

t.test('a kernel without the form says which one it lacks', async (t) => {
  const kernel = kernelWith('hlt').failing('VM_RUN_13', 'ENOTTY');
  const hint = /without --abi and --compare/;
  await t.rejects(
    opened(kernel, (node) => run(node, { abi: '13' })),
    { code: 'ENOTTY', message: /form '13'/, hint },
  );
});
