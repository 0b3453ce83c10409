/** A VM of KVM in this process, and the exits of its vCPUs. */
import { readdirSync, readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { KVM_EXIT } from '../../../../src/core/abi/kvm-run.js';
import type { Vcpu } from '../../../../src/core/backend/device/kvm/vcpu.js';
import { KvmVm } from '../../../../src/core/backend/device/kvm/vm.js';
import type { KvmExit } from '../../../../src/core/backend/port/kvm.js';
import type { ExitRecord } from '../../../../src/core/client/exits.js';
import { decodeKvmExit } from '../../../../src/core/client/kvm-exits.js';
import { endThreads } from '../../../../src/core/native/blocking.js';
import { loadLibc } from '../../../../src/core/native/libc.js';
import { processNumber } from '../../../helpers/host.js';
import { AT, IMAGES, kvmMissing } from '../../../helpers/kvm.js';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const skip = (await kvmMissing()) ?? false;
const libc = await loadLibc();
const forEver = new AbortController().signal;
t.teardown(endThreads);

async function machine(t: Test, memory = MIB, cpus = 1): Promise<{ vm: KvmVm; vcpu: Vcpu }> {
  const vm = await KvmVm.create(libc, cpus, memory);
  t.teardown(() => vm.close());
  const [vcpu] = vm.vcpus;
  if (vcpu === undefined) throw new Error('a VM without a vCPU');
  return { vm, vcpu };
}

async function started(t: Test, bytes: Uint8Array, at = AT): Promise<Vcpu> {
  const { vm, vcpu } = await machine(t);
  vm.load({ bytes, at });
  vcpu.begin(at);
  return vcpu;
}

const record = (exit: KvmExit) => decodeKvmExit(0, exit).record;

t.test('an image that writes to a port and halts', { skip }, async (t) => {
  t.equal(IMAGES.writes.length, 16);
  const vcpu = await started(t, IMAGES.writes);
  const first = await vcpu.run(forEver);
  t.equal(first.reason, KVM_EXIT.KVM_EXIT_IO);
  t.same(record(first), {
    exit: 'IO',
    vcpu: 0,
    rip: record(first).rip,
    instLength: null,
    direction: 'OUT',
    size: 1,
    port: 0x3f8,
    count: 1,
    data: '41',
  });
  t.match(record(await vcpu.run(forEver)), { exit: 'IO', data: '0a' });
  t.match(record(await vcpu.run(forEver)), { exit: 'HLT', rip: BigInt(AT + 10) });
  t.match(record(await vcpu.run(forEver)), { exit: 'HLT' }, 'it goes on behind it');
});

t.test('what the guest reads is answered: zeros, cut or filled up', { skip }, async (t) => {
  for (const [answer, gets] of [
    [[], '00'],
    [[0x41], '41'],
    [[0x42, 0x43, 0x44], '42'],
  ] as const) {
    const vcpu = await started(t, IMAGES.echoes);
    t.match(record(await vcpu.run(forEver)), { direction: 'IN', port: 0x60, data: null });
    vcpu.answer(Uint8Array.from(answer));
    t.match(record(await vcpu.run(forEver)), { direction: 'OUT', port: 0x61, data: gets });
  }
});

t.test('a string instruction: many bytes in an exit, or an exit for each', { skip }, async (t) => {
  const { vm, vcpu } = await machine(t);
  vm.load({ bytes: IMAGES.readsMuch, at: AT });
  vm.load({ bytes: IMAGES.writesMuch, at: 0x1800 });
  const given = [1, 2, 3, 4];
  vcpu.begin(AT);
  await untilHalt(vcpu, ({ count }) => {
    vcpu.answer(Uint8Array.from(given.splice(0, Number(count))));
  });
  t.same(given, []);
  vcpu.begin(0x1800);
  let written = '';
  await untilHalt(vcpu, ({ data }) => {
    written += String(data);
  });
  t.equal(written, '01020304');
});

t.test('a new beginning in the middle of a string instruction', { skip }, async (t) => {
  const { vm, vcpu } = await machine(t);
  vm.load({ bytes: IMAGES.readsMuch, at: AT });
  vm.load({ bytes: IMAGES.writes, at: 0x1800 });
  vcpu.begin(AT);
  t.match(record(await vcpu.run(forEver)), { direction: 'IN', port: 0x10 });
  vcpu.begin(0x1800);
  t.match(record(await vcpu.run(forEver)), { direction: 'OUT', port: 0x3f8, data: '41' });
});

t.test('an address without memory', { skip }, async (t) => {
  const { vm, vcpu } = await machine(t, 0xb8000);
  vm.load({ bytes: IMAGES.mmio, at: AT });
  vcpu.begin(AT);
  const read = { exit: 'MMIO', phys_addr: 0xb8000n, len: 1, is_write: false, data: null };
  t.match(record(await vcpu.run(forEver)), read);
  vcpu.answer(Uint8Array.of(0x7f));
  const write = { exit: 'MMIO', phys_addr: 0xb8001n, len: 1, is_write: true, data: '7f' };
  t.match(record(await vcpu.run(forEver)), write);
  t.match(record(await vcpu.run(forEver)), { exit: 'HLT' });
});

t.test('a new beginning, while an answer is awaited', { skip }, async (t) => {
  const { vm, vcpu } = await machine(t);
  vm.load({ bytes: IMAGES.echoes, at: AT });
  for (let round = 0; round < 3; round++) {
    vcpu.begin(AT);
    t.match(record(await vcpu.run(forEver)), { direction: 'IN' });
  }
  vm.load({ bytes: Uint8Array.of(0xe6, 0x10, 0xf4), at: 0x2000 });
  vcpu.begin(0x2000);
  t.match(record(await vcpu.run(forEver)), { port: 0x10, data: '00' }, 'al is as after a reset');
});

t.test('a vCPU that loops for ever is kicked', { skip }, async (t) => {
  const vcpu = await started(t, IMAGES.loops);
  for (const delay of [0, 1, 20]) {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), delay);
    await t.rejects(vcpu.run(abort.signal), { code: 'EINTR' });
    clearTimeout(timer);
  }
  await t.rejects(vcpu.run(AbortSignal.abort()), { code: 'EINTR' }, 'one that is aborted already');
});

t.test('vCPUs run at the same time, and one of them is kicked', { skip }, async (t) => {
  const { vm, vcpu } = await machine(t, MIB, 2);
  vm.load({ bytes: IMAGES.loops, at: AT });
  vm.load({ bytes: IMAGES.writes, at: 0x2000 });
  const abort = new AbortController();
  vcpu.begin(AT);
  const loop = t.rejects(vcpu.run(abort.signal), { code: 'EINTR' });
  const other = vm.vcpus[1];
  other?.begin(0x2000);
  t.match(await other?.run(forEver), { reason: KVM_EXIT.KVM_EXIT_IO });
  abort.abort();
  await loop;
  t.match(await other?.run(forEver), { reason: KVM_EXIT.KVM_EXIT_IO });
});

t.test('where an image may stand and begin', { skip }, async (t) => {
  const { vm, vcpu } = await machine(t, 2 * MIB);
  const one = Uint8Array.of(0xf4);
  for (const at of [0x10000, 0x1fff5, 0xfffff]) {
    vm.load({ bytes: one, at });
    vcpu.begin(at);
    t.match(record(await vcpu.run(forEver)), { exit: 'HLT', rip: BigInt((at % 0x10000) + 1) });
  }
  for (const at of [-1, MIB]) t.throws(() => vcpu.begin(at), { code: 'EINVAL' }, String(at));
  for (const at of [-1, 2 * MIB, 2 ** 32]) {
    t.throws(() => vm.load({ bytes: one, at }), { code: 'EINVAL' }, String(at));
  }
  t.throws(() => vm.load({ bytes: IMAGES.writes, at: 2 * MIB - 15 }), { code: 'EINVAL' });
  vm.load({ bytes: IMAGES.writes, at: 2 * MIB - 16 });
});

t.test('memory goes on above the devices', { skip }, async (t) => {
  const { vm } = await machine(t, 5 * GIB);
  t.match(vm.memoryMap, [
    { address: 0, size: 3 * GIB, offset: 0 },
    { address: 4 * GIB, size: 2 * GIB, offset: 3 * GIB },
  ]);
  vm.load({ bytes: IMAGES.writes, at: 6 * GIB - 16 });
  t.throws(() => vm.load({ bytes: IMAGES.writes, at: 3 * GIB - 15 }), { code: 'EINVAL' });
});

t.test('what KVM refuses leaves nothing behind', { skip }, async (t) => {
  const before = holdings();
  await t.rejects(KvmVm.create(libc, 0xffff, MIB), { code: 'EINVAL', message: /no vCPU \d+/ });
  await t.rejects(KvmVm.create(libc, 1, 2 ** 52), { code: 'ENOMEM' });
  t.same(holdings(), before);
});

t.test('1,000 VMs come and go, and leave no descriptor and no mapping', { skip }, async (t) => {
  const round = async () => {
    const vm = await KvmVm.create(libc, 1, 16 * MIB);
    const [vcpu] = vm.vcpus;
    vm.load({ bytes: IMAGES.writes, at: AT });
    vcpu?.begin(AT);
    await vcpu?.run(forEver);
    vm.close();
  };
  await round();
  const before = { ...holdings(), size: addressSpace() };
  for (let done = 1; done < 1000; done++) await round();
  t.same(holdings(), { descriptors: before.descriptors, ofVcpus: before.ofVcpus });
  t.ok(addressSpace() - before.size < 4 * GIB, 'a quarter of what all VMs had together');
});

/** Runs a vCPU until it halts; each exit before that is told. */
async function untilHalt(vcpu: Vcpu, tell: (exit: ExitRecord) => void): Promise<void> {
  for (;;) {
    const exit = record(await vcpu.run(forEver));
    if (exit.exit === 'HLT') return;
    if (exit.exit !== 'IO') throw new Error(`${exit.exit} came instead of an exit by IO`);
    tell(exit);
  }
}

/** Descriptors of this process, and mappings that a VM has. */
function holdings() {
  const maps = readFileSync('/proc/self/maps', 'latin1').split('\n');
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    ofVcpus: maps.filter((line) => line.includes('kvm-vcpu')).length,
  };
}

/** Of this process, bytes. */
function addressSpace(): number {
  return processNumber(process.pid, 'VmSize') * 1024;
}
