// Exits of a simulated vCPU a second: through its node in one process, and by way of the daemon.
import { join } from 'node:path';

const root = new URL('..', import.meta.url).pathname;
const library = (path) => import(join(root, 'build/src/core', path));
const testHelper = (path) => import(join(root, 'build/test/helpers', path));

const IN_PROCESS = 200_000;
const BY_DAEMON = 5000;
const PROGRAM = 'loop\nout 0x3f8 1 0x41\nend';

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

async function rate(count, work) {
  const begin = performance.now();
  await work(count);
  return count / ((performance.now() - begin) / 1000);
}

/** Both forms of VM_RUN, and the decoder of the client. */
export async function benchExits(record, { rounds }) {
  await benchNode(record, rounds);
  await benchDaemon(record, rounds);
}

/** The model alone: the ioctl's bytes in, the exit's bytes out. */
async function benchNode(record, rounds) {
  const { testWorld } = await testHelper('world.js');
  const { ROOT } = await library('simulator/node.js');
  const { VMM_IOCTLS, vm_activate_cpu, vm_run, vm_run_13 } = await library('abi/vmm.js');
  const { world } = testWorld();
  world.host.sysctl('hw.vmm.create', 'bench', ROOT);
  const [vm] = world.vmm.all();
  world.vmm.setProgram(vm, 0, PROGRAM);
  const node = world.host.open('/dev/vmm/bench', ROOT, 'rw');
  node.ioctl(VMM_IOCTLS.VM_ACTIVATE_CPU.number, vm_activate_cpu.encode({ vcpuid: 0 }));

  const memory = new Uint8Array(4096);
  const user = {
    read: (address, length) => memory.slice(Number(address), Number(address) + length),
    write: (address, data) => memory.set(data, Number(address)),
  };
  const pointers = { cpuset: 256n, cpusetsize: 128n, vm_exit: 512n };
  const forms = {
    VM_RUN: [VMM_IOCTLS.VM_RUN.number, vm_run.encode({ cpuid: 0, ...pointers })],
    'VM_RUN of 13': [VMM_IOCTLS.VM_RUN_13.number, vm_run_13.encode({ cpuid: 0 })],
  };
  for (const [name, [request, argument]] of Object.entries(forms)) {
    const rates = [];
    for (let i = 0; i < rounds; i++) {
      rates.push(
        await rate(IN_PROCESS, (count) => {
          for (let done = 0; done < count; done++) node.ioctl(request, argument.slice(), user);
        }),
      );
    }
    record(`exits, ${name}, one process`, '/s', median(rates));
  }
}

/** As `vmmctl run` has them, decoded. */
async function benchDaemon(record, rounds) {
  const { connectBackend } = await library('backend/connect.js');
  const { activateVcpu, exitsOf } = await library('client/vcpu.js');
  const { RUN_ABIS } = await library('client/run-abi.js');
  const backend = await connectBackend('sim');
  const guest = backend.machine('host');
  await backend.management.setVcpuProgram('web1', 0, PROGRAM);
  const node = await guest.open('/dev/vmm/web1');
  await activateVcpu(node, 0);
  const ours = [];
  const peer = [];
  for (let i = 0; i < rounds; i++) {
    peer.push(
      await rate(BY_DAEMON, async (count) => {
        for (let done = 0; done < count; done++) await guest.localCid();
      }),
    );
    ours.push(
      await rate(BY_DAEMON, async (count) => {
        let left = count;
        for await (const _exit of exitsOf(node, 0, { abi: RUN_ABIS['15'], cpusetSize: 128 })) {
          if (--left === 0) break;
        }
      }),
    );
  }
  record(
    'exits, by the daemon',
    '/s',
    median(ours),
    median(peer),
    'a call that does nothing',
    false,
  );
  await node.close();
  await backend.close();
}
