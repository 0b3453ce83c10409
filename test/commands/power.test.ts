import t from 'tap';
import { runLine } from '../cli/helpers/io.js';
import { Kernel } from '../helpers/kernel.js';

const line = (text: string) => text.split(' ').filter(Boolean);
const run = (kernel: Kernel, text: string, options = {}) =>
  runLine(line(text), { connect: async () => kernel, ...options });

/** VMs whose vCPU 0 is active. */
async function kernelWith(...names: string[]): Promise<Kernel> {
  const kernel = new Kernel();
  for (const name of names) {
    kernel.add(name).program(name, 0, 'loop\nout 0x80 1\nend');
    await run(kernel, `run ${name} --count 1`);
  }
  return kernel;
}

t.test('each command does it to all that are named', async (t) => {
  const kernel = await kernelWith('a', 'b', 'c');
  const state = async () => {
    const { out } = await run(kernel, 'list --no-header --columns name,state,reason');
    return out;
  };
  t.match(await run(kernel, 'suspend a b'), { status: 0, out: '', err: '' });
  t.equal(await state(), 'a  suspended  paused\nb  suspended  paused\nc  -          -\n');
  t.match(await run(kernel, 'resume a b --json'), { out: '{"resumed":["a","b"]}\n' });
  t.equal(await state(), 'a  -  -\nb  -  -\nc  -  -\n');
  t.match(await run(kernel, 'poweroff a -v'), { status: 0, out: '', err: 'a: poweredOff\n' });
  t.equal((await run(kernel, 'run a -q')).out, 'SUSPENDED\n');
  t.equal(await state(), 'a  suspended  -\nb  -          -\nc  -          -\n');
  t.match(await run(kernel, 'reset a b c'), { status: 0 });
  t.same(
    [...kernel.vms.values()].map((vm) => vm.activeCpus.size),
    [0, 0, 0],
  );
});

t.test('one that fails does not keep the others from it', async (t) => {
  const kernel = await kernelWith('a', 'b');
  const ran = await run(kernel, 'poweroff a web9 b');
  t.match(ran, { status: 3, out: '', err: /^vmmctl: poweroff: no VM 'web9' \(ENOENT\)\nhint: / });
  const again = await run(kernel, 'poweroff a b --json');
  t.match(again, { status: 1, out: '' });
  t.equal(again.err.match(/"EALREADY"/g)?.length, 2);
});

t.test('one vCPU of several can be paused', async (t) => {
  const kernel = await kernelWith('a');
  await run(kernel, 'run a --vcpu 1 --timeout 1ms');
  await run(kernel, 'suspend a --vcpu 0');
  const [vm] = JSON.parse((await run(kernel, 'inspect a --json')).out);
  t.match(vm, { state: null, cpuSets: { active: [0, 1], debug: [0] } });
  t.match(await run(kernel, 'suspend a --vcpu 7'), { status: 1, err: /vCPU 7 .*not active/ });
  t.match(await run(kernel, 'resume a --vcpu 1'), { status: 1, err: /vCPU 1 .*not paused/ });
  t.match(await run(kernel, 'resume a --vcpu 0'), { status: 0 });
});

t.test('a page shows how vCPUs are arranged, and one of them', async (t) => {
  const kernel = await kernelWith('a');
  const { out } = await run(kernel, 'inspect a --vcpu 0', { tty: true });
  t.match(out, /vCPUs:\n +topology +1 sockets, 1 cores, 1 threads, at most 1024\n +active +0\n/);
  t.match(out, /registers of vCPU 0:\n +rax +0x0\n/);
  t.match(out, /descriptors of vCPU 0:\n +es +base 0x0, limit 0x/);
  t.match(out, /capabilities of vCPU 0:\n +hlt_exit +[01-]\n/);
  const [vm] = JSON.parse((await run(kernel, 'inspect a --vcpu 0 --json')).out);
  t.match(vm.vcpus, [{ vcpu: 0, registers: { rip: /^\d+$/ }, x2apic: false }]);
  const plain = JSON.parse((await run(kernel, 'inspect a --json')).out);
  t.notOk('vcpus' in plain[0]);
  t.match(await run(kernel, 'inspect a --vcpu 5000'), { status: 1, err: /no vCPU 5000/ });
});

t.test('counters are shown when there is something in them', async (t) => {
  const kernel = await kernelWith('a');
  const { out } = await run(kernel, 'stats a');
  t.match(out, /^VCPU +VALUE +COUNTER\n/);
  t.match(out, /\n +0 +1 {2}total number of vm exits\n/);
  t.notMatch(out, /\n +0 +0 {2}/);
  t.match((await run(kernel, 'stats a --all')).out, /\n +0 +0 {2}/);
  const [stats] = JSON.parse((await run(kernel, 'stats a --vcpu 0 --json')).out);
  t.match(stats, { vm: 'a', vcpu: 0, counters: { 'total number of vm exits': '1' } });
});
