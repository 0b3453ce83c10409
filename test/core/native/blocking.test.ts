/** A call that waits, on the one node that every Linux machine with virtualization has: a vCPU that runs for ever. */
import { constants } from 'node:os';
import t from 'tap';
import { blockingIoctl, endThreads } from '../../../src/core/native/blocking.js';
import { type Libc, loadLibc, type Mapping } from '../../../src/core/native/libc.js';

const [KVM_CREATE_VM, KVM_CREATE_VCPU, KVM_RUN] = [0xae01, 0xae41, 0xae80];
const KVM_SET_USER_MEMORY_REGION = 0x4020ae46;
const KVM_GET_VCPU_MMAP_SIZE = 0xae04;
const [O_RDWR, PROT_READ_WRITE, MAP_SHARED, MAP_PRIVATE_ANONYMOUS] = [2, 3, 1, 0x22];
const PAGE = 4096;
/** Where a CPU begins: the last sixteen bytes below 4 GiB. */
const RESET_PAGE = 0xfffff000n;
const RESET_OFFSET = 0xff0;
/** jmp to itself. */
const LOOP = [0xeb, 0xfe];

const libc = await loadLibc();
const node = libc.open('/dev/kvm', O_RDWR, 0);
const skip = node < 0 && 'this machine has no /dev/kvm that may be opened';
t.teardown(endThreads);

function must<T extends number | Mapping>(libcResult: T, what: string): Exclude<T, undefined> {
  if (typeof libcResult === 'number' && libcResult < 0) throw new Error(`${what} = ${libcResult}`);
  return libcResult as Exclude<T, undefined>;
}

function vcpuThatLoops(libc: Libc): { vcpu: number; close(): void } {
  const vm = must(libc.ioctl(node, KVM_CREATE_VM, 0), 'KVM_CREATE_VM');
  const memory = libc.map(-1, {
    length: PAGE,
    protection: PROT_READ_WRITE,
    flags: MAP_PRIVATE_ANONYMOUS,
    offset: 0,
  });
  if (typeof memory === 'number') throw new Error(`mmap = ${memory}`);
  new Uint8Array(memory.memory).set(LOOP, RESET_OFFSET);
  const region = new DataView(new ArrayBuffer(32));
  region.setBigUint64(8, RESET_PAGE, true);
  region.setBigUint64(16, BigInt(PAGE), true);
  region.setBigUint64(24, memory.address, true);
  must(libc.ioctl(vm, KVM_SET_USER_MEMORY_REGION, new Uint8Array(region.buffer)), 'region');
  const vcpu = must(libc.ioctl(vm, KVM_CREATE_VCPU, 0), 'KVM_CREATE_VCPU');
  const size = must(libc.ioctl(node, KVM_GET_VCPU_MMAP_SIZE, 0), 'KVM_GET_VCPU_MMAP_SIZE');
  const run = libc.map(vcpu, {
    length: size,
    protection: PROT_READ_WRITE,
    flags: MAP_SHARED,
    offset: 0,
  });
  if (typeof run === 'number') throw new Error(`mmap = ${run}`);
  const close = () => {
    for (const mapping of [run, memory]) mapping.unmap();
    for (const fd of [vcpu, vm]) libc.close(fd);
  };
  return { vcpu, close };
}

t.test(
  'a time-out ends the call with EINTR, and the thread serves the next one',
  { skip },
  async (t) => {
    const { vcpu, close } = vcpuThatLoops(libc);
    for (const timeoutMs of [50, 1]) {
      t.equal(await blockingIoctl(vcpu, KVM_RUN, 0, { timeoutMs }), -constants.errno.EINTR);
    }
    close();
  },
);

t.test('aborting ends it, before it began and while others run', { skip }, async (t) => {
  const vcpus = [vcpuThatLoops(libc), vcpuThatLoops(libc)];
  const aborts = vcpus.map(() => new AbortController());
  const runs = vcpus.map(({ vcpu }, index) =>
    blockingIoctl(vcpu, KVM_RUN, 0, { signal: aborts[index]?.signal }),
  );
  let beats = 0;
  const beat = setInterval(() => beats++, 1);
  await new Promise<void>((resolve) => {
    const look = setInterval(() => {
      if (beats < 20) return;
      clearInterval(look);
      resolve();
    }, 1);
  });
  clearInterval(beat);
  t.ok(beats >= 20, 'the main thread goes on meanwhile');
  for (const abort of aborts) abort.abort();
  t.same(await Promise.all(runs), [-constants.errno.EINTR, -constants.errno.EINTR]);
  for (const { close } of vcpus) close();
});

t.test('errno and memory come back from the thread', async (t) => {
  const TIOCGWINSZ = 0x5413;
  const nowhere = libc.open('/dev/null', O_RDWR, 0);
  t.equal(await blockingIoctl(nowhere, TIOCGWINSZ, new Uint8Array(8)), -constants.errno.ENOTTY);
  libc.close(nowhere);
  const [FIONREAD, file] = [0x541b, libc.open('/proc/self/exe', 0, 0)];
  const left = new Uint8Array(4);
  t.equal(await blockingIoctl(file, FIONREAD, left), 0);
  t.ok(
    left.some((byte) => byte > 0),
    'the size of the program',
  );
  libc.close(file);
});
