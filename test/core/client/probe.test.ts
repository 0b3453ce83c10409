/** Probes against what is a node on every Linux, and against those nodes that this machine happens to have. */
import t from 'tap';
import { KVM_GET_API_VERSION } from '../../../src/core/abi/kvm.js';
import { connectBackend } from '../../../src/core/backend/connect.js';
import { hostVersion, PROBES, probeNodes } from '../../../src/core/client/host.js';
import { KVM_PROBES } from '../../../src/core/client/kvm.js';
import { findOut, nodeProbe, type Probe } from '../../../src/core/client/probe.js';
import { VSOCK_PROBES } from '../../../src/core/client/vsock-node.js';

const backend = await connectBackend('device');
const machine = backend.machine('host');
t.teardown(() => backend.close());

const asksKvm = (path: string) =>
  nodeProbe('kvm', path, async (node) => {
    const { result } = await node.ioctl(KVM_GET_API_VERSION, 0);
    return { version: String(result) };
  });

t.test('the error of a node is its state, and each probe is made', async (t) => {
  const mistake: Probe = {
    system: 'kvm',
    name: 'a mistake',
    ask: async () => {
      throw new TypeError('oops');
    },
  };
  const found = await findOut(machine, [
    asksKvm('/nonexistent/node'),
    asksKvm('/dev/null/node'),
    asksKvm('/dev/null'),
    asksKvm('/dev'),
    mistake,
  ]);
  t.same(
    found.map(({ state, code }) => [state, code]),
    [
      ['missing', 'ENOENT'],
      ['missing', 'ENOTDIR'],
      ['silent', 'ENOTTY'],
      ['silent', 'EISDIR'],
      ['failed', null],
    ],
  );
  t.equal(found[2]?.message, 'the node does not know this ioctl');
  t.equal(found[4]?.message, 'oops');
});

t.test('a probe that gets no answer ends', async (t) => {
  const never: Probe = { system: 'vmci', name: '/dev/vmci', ask: () => new Promise(() => {}) };
  const [found] = await findOut(machine, [never], 10);
  t.match(found, { state: 'silent', code: 'ETIMEDOUT', message: 'no answer within 10 ms' });
});

t.test('the node is closed whether it answers or not', async (t) => {
  const descriptors = async () => (await machine.readdir('/proc/self/fd')).length;
  const before = await descriptors();
  await findOut(
    machine,
    Array.from({ length: 20 }, () => asksKvm('/dev/null')),
  );
  t.equal(await descriptors(), before);
});

t.test('/dev/kvm tells its version and capabilities where it may be opened', async (t) => {
  const [kvm] = await findOut(machine, KVM_PROBES);
  t.match(kvm?.state, /^(ok|missing|denied)$/);
  if (kvm?.state !== 'ok') return;
  t.equal(kvm.version, '12');
  t.match(kvm.facts, { capabilities: { KVM_CAP_USER_MEMORY: 1 } });
  t.ok(Number(kvm.facts.maximumVcpus) >= Number(kvm.facts.recommendedVcpus));
  t.equal(Number(kvm.facts.vcpuMmapSize) % 4096, 0);
});

t.test('/dev/vsock tells the CID where it may be opened', async (t) => {
  const [vsock] = await findOut(machine, VSOCK_PROBES);
  t.match(vsock?.state, /^(ok|missing|denied)$/);
  if (vsock?.state !== 'ok') return;
  const cid = await machine.localCid();
  t.equal(vsock.facts.cid, cid === 0xffffffff ? null : cid);
});

t.test('a whole machine is asked, and what answers is listed', async (t) => {
  const found = await findOut(machine, PROBES);
  t.same(
    found.map(({ name }) => name),
    PROBES.map(({ name }) => name),
  );
  t.same(
    found.filter(({ state }) => state === 'failed'),
    [],
  );
  const nodes = found.filter(({ name, state }) => name.startsWith('/dev/') && state === 'ok');
  t.same(
    (await probeNodes(machine)).map(({ path }) => path),
    nodes.map(({ name }) => name),
  );
});

t.test('this machine has a host', async (t) => {
  const host = await hostVersion(backend, 'host');
  t.type(host.product, 'string');
  t.ok(Array.isArray(host.features));
});
