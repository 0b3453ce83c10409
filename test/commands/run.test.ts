import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { SystemError } from '../../src/core/abi/errno.js';
import { KVM_EXIT } from '../../src/core/abi/kvm-run.js';
import type { KvmExit, KvmHosts, KvmRunOptions } from '../../src/core/backend/port/kvm.js';
import type { Backend } from '../../src/core/backend/port.js';
import { FakeBackend } from '../cli/helpers/fake-backend.js';
import { runLine, WAYS } from '../cli/helpers/io.js';
import { Kernel } from '../helpers/kernel.js';

const line = (text: string) => text.split(' ').filter(Boolean);
const directory = mkdtempSync(join(tmpdir(), 'vmmctl-run-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

/** The simulated kernel, with the management that gives its vCPUs programs. */
function simulated(kernel = new Kernel().add('web1')): Backend {
  const { management } = new FakeBackend().add('web1');
  return {
    uri: 'sim',
    machine: () => kernel.machine(),
    management: {
      ...management,
      setVcpuProgram: async (name, vcpu, text) => {
        kernel.program(name, vcpu, text ?? '');
      },
    },
    close: () => kernel.close(),
  };
}

async function run(text: string, backend = simulated(), options: object = {}) {
  return runLine(line(text), { connect: async () => backend, ...options });
}

const HELLO = file('hello', 'out 0x3f8 1 0x41\nipi fixed 0x20 0,63,256\nhlt\n');

for (const way of WAYS) {
  t.test(`run prints each exit (${way})`, async (t) => {
    t.match(await run(`run web1 --program ${HELLO}`, simulated(), { way }), {
      status: 0,
      out: [
        '    N  VCPU  EXIT            RIP                 DETAILS',
        '    1     0  INOUT           0x0                 bytes=1 port=0x3f8 eax=0x41',
        '    2     0  IPI             0x1                 mode=0x0 vector=0x20 cpus=0,63,256',
        '    3     0  HLT             0x3                 rflags=0x2 intr_status=0x0',
        '',
      ].join('\n'),
      err: '',
    });
  });

  t.test(`wrong words are found before anything is sent (${way})`, async (t) => {
    const lines = [
      'run',
      'run web1 web2',
      'run /dev/vmm/web1',
      'run web1 --vcpu x',
      'run web1 --vcpu 65535',
      'run web1 --count x',
      'run web1 --abi 14',
      'run web1 --abi 13 --compare 13,15',
      'run web1 --compare 13',
      'run web1 --compare 13,13',
      'run web1 --compare 13,15,grown',
      'run web1 --compare 13,16',
      'run web1 --program a --image b',
      'run web1 --at x',
      'run web1 --image a --at 0x100000',
      'run web1 --at 0x1000',
      'run web1 --input 0x60',
      'run web1 --input =1',
      'run web1 --input 0x60=0x10000000000000000',
      'run web1 --cpuset-size 65537',
      'run web1 --in web1',
      'stats',
      'stats web1 --vcpu -1',
      'suspend',
      'resume web1 --vcpu 65535',
      'reset',
      'poweroff',
    ];
    for (const text of lines) {
      const ran = await runLine(line(text), { way });
      t.match(ran, { status: 2, out: '', err: /^vmmctl: .*\(EINVAL\)\n(hint: .*\n)?$/ }, text);
      t.same(ran.backend.calls, [], text);
    }
  });
}

t.test('a program goes on with the next run, and begins anew when it is given again', async (t) => {
  const backend = simulated();
  const names = async (text: string) => (await run(`run web1 --quiet ${text}`, backend)).out;
  t.equal(await names(`--program ${HELLO} --count 2`), 'INOUT\nIPI\n');
  t.equal(await names('--count 1'), 'HLT\n');
  t.equal(await names(`--program ${HELLO}`), 'INOUT\nIPI\nHLT\n');
  t.equal(await names('--count 5'), 'SUSPENDED\n', 'the program is over');
  t.match(await run('run web1 -q', backend), { status: 1, out: '', err: /suspended.*\(EINVAL\)/ });
  t.equal(await names('--reset'), 'INOUT\nIPI\nHLT\n');
});

t.test('without --count a HLT ends the run, with it the run goes on', async (t) => {
  const program = file('halts', 'hlt\nhlt\npause');
  const backend = simulated();
  t.equal((await run(`run web1 -q --program ${program}`, backend)).out, 'HLT\n');
  const counted = await run(`run web1 -q --program ${program} -c 10 -v`, backend);
  t.equal(counted.out, 'HLT\nHLT\nPAUSE\nSUSPENDED\n');
  t.equal(counted.err, 'the VM is suspended: halt, where bhyve(8) ends with 2\n');
});

t.test('--json prints a document a line, --raw the bytes', async (t) => {
  const { out } = await run(`run web1 --program ${HELLO} --json --raw`);
  const [inout, ipi] = out
    .trimEnd()
    .split('\n')
    .map((each) => JSON.parse(each));
  t.match(inout, { exit: 'INOUT', vcpu: 0, rip: '0', instLength: 1, port: 1016, eax: 65 });
  t.same(Object.keys(inout.raw), ['vm_exit']);
  t.match(ipi, { exit: 'IPI', vector: 32, cpus: [0, 63, 256] });
  t.equal(ipi.raw.vm_exit.length, 2 * 136);
  t.equal(ipi.raw.cpuset, `01${'00'.repeat(6)}80${'00'.repeat(24)}01${'00'.repeat(95)}`);
  const dump = (await run(`run web1 --program ${HELLO} --raw --count 1`)).out;
  t.match(dump, /\n {2}vm_exit, 136 bytes\n {2}0000 {2}00 00 00 00 01 00 00 00 {2}00 00/);
  t.match(dump, /\n {2}0080 {2}(00 ){7}00\n$/);
});

t.test('an instruction that a kernel has decoded is its bytes', async (t) => {
  const program = file('mmio', 'mmio write 0xd0000000 4 7');
  const { out } = await run(`run web1 --program ${program} --count 1`);
  t.match(out, /INST_EMUL .* gpa=0xd0000000 .* inst=[0-9a-f]{4}\n$/);
});

t.test('--cpuset-size and --abi change what is seen of an IPI', async (t) => {
  const cpus = async (text: string) => {
    const { out } = await run(`run web1 --program ${HELLO} --json --count 2 ${text}`);
    return JSON.parse(out.trimEnd().split('\n')[1] ?? '').cpus;
  };
  t.same(await cpus('--cpuset-size 0'), []);
  t.same(await cpus('--cpuset-size 8'), [0, 63]);
  t.same(await cpus('--cpuset-size 8 --abi 13'), [0, 63], 'it has a size of its own');
  t.same(await cpus('--abi 13'), [0, 63]);
  t.same(await cpus('--abi grown'), [0, 63, 256]);
});

t.test('--compare shows what differs', async (t) => {
  const { status, out, err } = await run(`run web1 --program ${HELLO} --compare 13,15`);
  t.match({ status, err }, { status: 0, err: '' });
  t.match(out, '\n       13: cpus 0,63; 15: cpus 0,63,256 (dropped by 13: 256, above 255)\n');
  t.match(out, /\n +4 +0 {2}SUSPENDED +0x[0-9a-f]+ +how=HALT\n$/, 'to the end of the program');
  t.equal(out.split('\n').length, 7);
  const backwards = await run(`run web1 --program ${HELLO} --compare 15,13 --cpuset-size 8`);
  t.notMatch(backwards.out, 'dropped');
  const { out: json } = await run(`run web1 --program ${HELLO} --compare 15,13 --json --count 2`);
  const document = JSON.parse(json);
  t.match(document, { abis: ['15', '13'], differences: [{ exit: 2, field: 'cpus' }] });
  t.same(document.differences[0].values, { '15': [0, 63, 256], '13': [0, 63] });
  t.match(document.exits['13'], [{ exit: 'INOUT' }, { exit: 'IPI' }]);
  const quiet = await run(`run web1 --program ${HELLO} --compare 13,15 --quiet`);
  t.equal(quiet.out, '2 13: cpus 0,63; 15: cpus 0,63,256 (dropped by 13: 256, above 255)\n');
  const reads = file('reads', 'in 0x60 1\nout 0x80 1');
  const given = await run(`run web1 --program ${reads} --compare 13,15 --input 0x60=0x1e`);
  t.match(given.out, /port=0x80 .*eax=0x1e/);
  const raw = await run(`run web1 --program ${HELLO} --compare 13,15 --raw --count 1`);
  t.equal(raw.out.match(/vm_exit, 136 bytes/g)?.length, 2);
});

t.test('a run without an end has one: --count, --timeout', async (t) => {
  const endless = file('endless', 'loop\nout 0x80 1\nend');
  const counted = await run(`run web1 --program ${endless} --count 3 -q`);
  t.match(counted, { status: 0, out: 'INOUT\nINOUT\nINOUT\n' });
  const compared = await run(`run web1 --program ${endless} --compare 13,15`);
  t.equal(compared.out.split('\n').length, 1002);
  const silent = file('silent', 'wait');
  const late = await run(`run web1 --program ${silent} --timeout 50ms`);
  t.match(late, { status: 6, out: '', err: /not done within 50ms \(ETIMEDOUT\)\n$/ });
});

t.test('a program that makes no sense is wrong usage', async (t) => {
  const bad = file('bad', 'out 0x3f8 1\nfoo\n');
  t.match(await run(`run web1 --program ${bad}`), { status: 2, err: /line 2: foo.*\(EINVAL\)/ });
  const long = file('long', '#'.repeat(65537));
  t.match(await run(`run web1 --program ${long}`), { status: 2, err: /longer than 64K/ });
  const lines = file('lines', 'pause\n'.repeat(4097));
  t.match(await run(`run web1 --program ${lines}`), { status: 2, err: /4096 lines/ });
  t.match(await run(`run web1 --program ${directory}`), {
    err: new RegExp(`${directory}.*EISDIR`),
  });
  const nowhere = join(directory, 'nowhere');
  t.match(await run(`run web1 --program ${nowhere}`), { status: 3, err: /nowhere.*\(ENOENT\)/ });
});

t.test('what is not there says so', async (t) => {
  t.match(await run(`run web2 --program ${HELLO}`), {
    status: 3,
    err: /no VM 'web2' \(ENOENT\)\nhint: did you mean 'web1'\?\n$/,
  });
  t.match(await run('run web1 --vcpu 5000'), { status: 1, err: /no vCPU 5000 \(EINVAL\)/ });
  t.match(await run(`run web1 --image ${HELLO}`), { status: 7, err: /images.*\(EOPNOTSUPP\)/ });
  const device = new Kernel().add('web1');
  t.match(await run(`run web1 --program ${HELLO}`, device), {
    status: 7,
    err: /no programs for vCPUs.*\(EOPNOTSUPP\)/,
  });
  device.program('web1', 0, 'pause');
  t.match(await run('run web1 --quiet --count 1', device), { status: 0, out: 'PAUSE\n' });
});

/** A machine that has KVM and no vmm(4). */
function withKvm(exits: KvmExit[], seen: KvmRunOptions[] = []): Backend {
  const machine = new Kernel({ bare: true });
  const kvm = {
    isThere: async () => true,
    vms: async () => [],
    inspect: async (vm: string) => {
      if (vm !== 'web1') throw new SystemError('ENOENT', { message: `no VM '${vm}'` });
      return { counters: { exits: 7, exitsIo: 0 } };
    },
    async *run(_name: string, options: KvmRunOptions) {
      seen.push(options);
      yield* exits;
    },
  };
  return {
    uri: 'device',
    machine: () => machine.machine(),
    kvm: kvm as unknown as KvmHosts,
    close: async () => undefined,
  };
}

/** struct kvm_run with an exit by IO: direction, size, port, count. */
function io(direction: number, port: number, data: string): KvmExit {
  const run = new Uint8Array(288);
  const view = new DataView(run.buffer);
  view.setUint32(8, KVM_EXIT.KVM_EXIT_IO, true);
  run.set([direction, 1], 32);
  view.setUint16(34, port, true);
  view.setUint32(36, 1, true);
  return {
    reason: KVM_EXIT.KVM_EXIT_IO,
    run,
    data: Buffer.from(data, 'hex'),
    rip: 0x1002n,
  };
}

const halt: KvmExit = {
  reason: KVM_EXIT.KVM_EXIT_HLT,
  run: new Uint8Array(288),
  data: new Uint8Array(0),
  rip: 0x1005n,
};

t.test('an image runs with KVM, and ends at its HLT', async (t) => {
  const image = file('image', Uint8Array.of(0xb0, 0x41, 0xf4));
  const seen: KvmRunOptions[] = [];
  const exits = [io(1, 0x3f8, '41'), io(0, 0x60, ''), halt, halt];
  const backend = withKvm(exits, seen);
  const ran = await run(`run web1 --image ${image} --at 0x7c00 --input 0x60=0x1e -c 9`, backend);
  t.match(ran, { status: 0, err: '' });
  t.match(ran.out.split('\n'), [
    /^ +N/,
    /^ +1 +0 {2}IO +0x1002 +direction=OUT size=1 port=0x3f8 count=1 data=41$/,
    /IO .* direction=IN .*data=-$/,
    /HLT +0x1005$/,
    /^$/,
  ]);
  t.match(seen, [{ vcpu: 0, image: { at: 0x7c00, bytes: Buffer.from([0xb0, 0x41, 0xf4]) } }]);
  t.same(seen[0]?.answer?.(io(0, 0x60, '')), Uint8Array.of(0x1e));
  t.equal(seen[0]?.answer?.(io(0, 0x61, '')), undefined);
  const json = await run('run web1 --json --count 1', withKvm(exits));
  t.match(JSON.parse(json.out), { exit: 'IO', rip: '4098', instLength: null, data: '41' });
});

t.test("KVM has no forms of VM_RUN, no programs, and no states of the host's", async (t) => {
  for (const text of [
    `run web1 --program ${HELLO}`,
    'run web1 --abi 15',
    'run web1 --compare 13,15',
    'run web1 --reset',
    'run web1 --cpuset-size 128',
    'stats web1 --vcpu 0',
    'poweroff web1',
    'suspend web1',
    'inspect web1 --vcpu 0 --json',
  ]) {
    const ran = await run(text, withKvm([]));
    t.match(ran, { status: /^[73]$/, out: '' }, text);
  }
  const stats = await run('stats web1', withKvm([]));
  t.equal(stats.out, 'VCPU  VALUE  COUNTER\n   -      7  exits\n');
  t.match(await run('stats web2', withKvm([])), { status: 3 });
});

t.test('the machine without either says what it lacks', async (t) => {
  const nothing = new Kernel({ bare: true });
  t.match(await run('run web1', nothing), { status: 7, err: /\(ENXIO\)/ });
  t.match(await run('stats web1', nothing), { status: 7, err: /\(ENXIO\)/ });
});
