/** Programs of vCPUs by way of the daemon: what a client may send, and what becomes of its calls when it goes. */
import t from 'tap';
import { VMM_IOCTLS, vm_activate_cpu, vm_run } from '../../src/core/abi/vmm.js';
import { vm_exit } from '../../src/core/abi/vmm-exit.js';
import { vm_exitcode } from '../../src/core/abi/vmm-machine.js';
import { connectBackend } from '../../src/core/backend/connect.js';
import type { DeviceNode } from '../../src/core/backend/port/node.js';
import type { Management } from '../../src/core/backend/port.js';
import { type Host, simulatedHost } from '../helpers/host.js';

/** A client of a simulated host in this process. */
async function client(host: Host) {
  Object.assign(process.env, host.env);
  const backend = await connectBackend('sim', { start: false });
  const { management } = backend;
  if (management === undefined) throw new Error('no management');
  return { backend, management };
}

/** The code of an exit. */
async function run(node: DeviceNode, signal?: AbortSignal): Promise<number> {
  const exit = new Uint8Array(vm_exit.size);
  await node.ioctl(VMM_IOCTLS.VM_RUN.number, vm_run.encode({}), {
    blocks: true,
    signal,
    pointers: [{ at: vm_run.offset('vm_exit'), to: exit }],
  });
  return vm_exit.decode(exit).exitcode;
}

async function refusal(management: Management, vcpu: number, text: string): Promise<string> {
  try {
    await management.setVcpuProgram('web1', vcpu, text);
    return 'ok';
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return `${code} ${message}`;
  }
}

t.test('programs of vCPUs', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const state = async () => (await host.json<{ state: string }[]>(['list']))[0]?.state;
  const { backend, management } = await client(host);
  t.teardown(() => backend.close());
  const node = await backend.machine('host').open('/dev/vmm/web1');
  await node.ioctl(VMM_IOCTLS.VM_ACTIVATE_CPU.number, vm_activate_cpu.encode({}));

  await t.test('what is refused', async (t) => {
    t.match(await refusal(management, 0, 'hlt\nfly'), /^EINVAL .*line 2: fly is no statement/);
    t.match(await refusal(management, 0, '#'.repeat(70_000)), /^E2BIG/);
    t.match(await refusal(management, 0, '\n'.repeat(5000)), /^E2BIG/);
    t.match(await refusal(management, 1024, 'hlt'), /^EINVAL/);
    t.match(await refusal(management, -1, 'hlt'), /^EINVAL/);
    t.equal(await refusal(management, 1023, 'hlt'), 'ok');
    await t.rejects(management.setVcpuProgram('none', 0, 'hlt'), { code: 'ENOENT' });
  });

  await t.test('what is set is executed, also by a call that waits', async (t) => {
    await management.setVcpuProgram('web1', 0, 'hlt\nwait\npause');
    t.equal(await run(node), vm_exitcode.VM_EXITCODE_HLT);
    t.equal(await state(), 'running');
    const waiting = run(node);
    await management.setVcpuProgram('web1', 0, 'mtrap');
    t.equal(await waiting, vm_exitcode.VM_EXITCODE_MTRAP);
    await management.setVcpuProgram('web1', 0, null);
  });

  await t.test('a signal ends a call that waits', async (t) => {
    const abort = new AbortController();
    const waiting = run(node, abort.signal);
    abort.abort();
    t.equal(await waiting, vm_exitcode.VM_EXITCODE_BOGUS);
  });

  await t.test('a client that is killed takes its calls along', async (t) => {
    await node.close();
    const stateIs = (state: string) =>
      host.until(['list', '--json'], ({ stdout }) => stdout.includes(`"${state}"`));
    await stateIs('created');
    const other = host.start(['run', 'web1']);
    await stateIs('running');
    other.kill('SIGKILL');
    await stateIs('created');
    await management.setVcpuProgram('web1', 0, 'pause');
    const again = await backend.machine('host').open('/dev/vmm/web1');
    t.equal(await run(again), vm_exitcode.VM_EXITCODE_PAUSE, 'and the vCPU is free');
  });
});
