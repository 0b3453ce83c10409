/** What Linux shows in files, as real kernels wrote them: the balloon, VirtualBox, Xen, firmware, modules. */
import t, { type Test } from 'tap';
import { SystemError } from '../../../src/core/abi/errno.js';
import { guestBalloon, parseFeatureBits } from '../../../src/core/client/balloon.js';
import { kernelOf } from '../../../src/core/client/examine.js';
import { hostVersion } from '../../../src/core/client/host.js';
import { hostVersionBySysfs, parseCpu } from '../../../src/core/client/linux-host.js';
import { findOut } from '../../../src/core/client/probe.js';
import { hostFeatures, parseHostVersion } from '../../../src/core/client/vboxguest.js';
import { VSOCK_PROBES } from '../../../src/core/client/vsock-node.js';
import { VSOCKMON_PROBES } from '../../../src/core/client/vsockmon.js';
import { FakeBackend } from '../../cli/helpers/fake-backend.js';
import { treeMachine } from '../../helpers/tree-machine.js';

const BALLOON = '/sys/bus/virtio/drivers/virtio_balloon';
const FEATURES = `011001${'0'.repeat(26)}1${'0'.repeat(31)}\n`;
const VMSTAT = 'nr_free_pages 100\nballoon_inflate 1024\nballoon_deflate 256\nballoon_migrate 2\n';
const MEMINFO = 'MemTotal:       24684084 kB\nMemFree: 1 kB\nMemAvailable:   24034812 kB\n';
/** AT_HWCAP, AT_PAGESZ 16384, AT_NULL. */
const AUXV = Buffer.from(
  '1000000000000000fffb8b0700000000060000000000000000400000000000000000000000000000' +
    '0000000000000000',
  'hex',
).toString('latin1');
const LINUX = { '/proc/sys/kernel/ostype': 'Linux\n', '/proc/sys/kernel/osrelease': '6.12.1\n' };
const IN_A_VM = {
  '/proc/cpuinfo': 'vendor_id\t: GenuineIntel\nflags\t\t: fpu vme hypervisor lm\n',
};

const UML_CPU = 'vendor_id\t: User Mode Linux\nmodel name\t: UML\nflags\t\t: fpu hypervisor\n';

const machineOf = (t: Test, files: Record<string, string>) => treeMachine(t.testdir(), files);

t.test('the balloon is counted in pages of this machine', async (t) => {
  const machine = machineOf(t, {
    [`${BALLOON}/virtio0/features`]: FEATURES,
    '/proc/vmstat': VMSTAT,
    '/proc/meminfo': MEMINFO,
    '/proc/self/auxv': AUXV,
  });
  t.same(await guestBalloon(machine), {
    device: 'virtio0',
    features: [
      'VIRTIO_BALLOON_F_STATS_VQ',
      'VIRTIO_BALLOON_F_DEFLATE_ON_OOM',
      'VIRTIO_BALLOON_F_REPORTING',
      'VIRTIO_F_VERSION_1',
    ],
    unit: 4096,
    actual: 768 * 16384,
    inflated: 1024 * 16384,
    deflated: 256 * 16384,
    migrated: 2 * 16384,
    memoryTotal: 24684084 * 1024,
    memoryAvailable: 24034812 * 1024,
  });
});

t.test('a newer kernel says itself what is in the balloon', async (t) => {
  const machine = machineOf(t, {
    [`${BALLOON}/virtio3/features`]: FEATURES,
    '/proc/vmstat': `nr_balloon_pages 3\n${VMSTAT}`,
    '/proc/self/auxv': AUXV,
  });
  t.equal((await guestBalloon(machine)).actual, 3 * 16384);
});

t.test('what is not known of a balloon is null', async (t) => {
  const machine = machineOf(t, { [`${BALLOON}/virtio0/`]: '' });
  t.match(await guestBalloon(machine), { features: [], actual: null, memoryTotal: null });
});

t.test('a driver without a device is no balloon', async (t) => {
  await t.rejects(guestBalloon(machineOf(t, { [`${BALLOON}/bind`]: '' })), { code: 'ENOENT' });
  await t.rejects(guestBalloon(machineOf(t, {})), { code: 'ENOENT' });
});

t.test('bits in sysfs begin with the lowest', async (t) => {
  t.equal(parseFeatureBits('0100'), 2n);
  t.equal(parseFeatureBits(`${'0'.repeat(63)}1`), 2n ** 63n);
  t.equal(parseFeatureBits('x'), 0n);
});

t.test("a VirtualBox guest's driver tells of its host", async (t) => {
  const device = '/sys/bus/pci/drivers/vboxguest/0000:00:04.0';
  const machine = machineOf(t, {
    ...LINUX,
    ...IN_A_VM,
    '/sys/bus/pci/drivers/vboxguest/bind': '',
    [`${device}/host_version`]: '6.1.36r152435\n',
    [`${device}/host_features`]: '0x8000000f\n',
  });
  t.match(await hostVersionBySysfs(machine), {
    product: 'VirtualBox',
    version: '6.1.36',
    revision: '152435',
    features: ['VMMDEV_HVF_HGCM_PHYS_PAGE_LIST', 'VMMDEV_HVF_HGCM_EMBEDDED_BUFFERS'],
  });
  t.same(parseHostVersion('else'), { version: 'else', revision: '' });
  t.same(hostFeatures('0x80000001'), ['VMMDEV_HVF_HGCM_PHYS_PAGE_LIST', 'VMMDEV_HVF_FAST_IRQ_ACK']);
  t.same(hostFeatures('what'), []);
  t.same(hostFeatures(undefined), []);
});

t.test('a guest that is named is asked before management, the host is not', async (t) => {
  const management = new FakeBackend().management;
  const named = (files: Record<string, string>) => {
    const machine = machineOf(t, { '/dev/vsock': '', ...files });
    return { uri: 'sim', management, machine: () => machine, close: async () => {} };
  };
  const device = '/sys/bus/pci/drivers/vboxguest/0000:00:04.0';
  const files = { [`${device}/host_version`]: '7.0.14r161095\n' };
  const inGuest = await hostVersion(named(files), { vm: 'web1' });
  t.match(inGuest, { product: 'VirtualBox', version: '7.0.14', revision: '161095', features: [] });
  const simulated = { product: 'vmmctl simulated host' };
  t.match(await hostVersion(named(files), 'host'), simulated);
  await t.test('without the device management tells', async () => {
    t.match(await hostVersion(named({}), { vm: 'web1' }), simulated);
  });
  await t.test('of a guest that may not be looked into nothing is told', async (t) => {
    const readdir = async () => {
      throw new SystemError('EOPNOTSUPP');
    };
    const machine = { ...machineOf(t, files), readdir };
    const backend = { ...named(files), machine: () => machine };
    await t.rejects(hostVersion(backend, { vm: 'web1' }), { code: 'EOPNOTSUPP' });
  });
});

t.test('Xen tells its version', async (t) => {
  const machine = machineOf(t, {
    ...LINUX,
    '/sys/hypervisor/type': 'xen\n',
    '/sys/hypervisor/version/major': '4\n',
    '/sys/hypervisor/version/minor': '17\n',
    '/sys/hypervisor/version/extra': '.3-pre\n',
    '/sys/hypervisor/properties/features': '00002705\n',
  });
  t.same(await hostVersionBySysfs(machine), {
    product: 'Xen',
    version: '4.17.3-pre',
    revision: '',
    features: ['hypervisor', 'xen-features=00002705'],
  });
});

t.test('another hypervisor is known by its firmware, if it gives one', async (t) => {
  const firmware = {
    '/sys/class/dmi/id/sys_vendor': 'QEMU\n',
    '/sys/class/dmi/id/product_name': 'Standard PC (Q35 + ICH9, 2009)\n',
    '/sys/class/dmi/id/product_version': 'pc-q35-7.2\n',
    '/sys/class/dmi/id/bios_version': '1.16.2-debian-1.16.2-1\n',
  };
  t.same(await hostVersionBySysfs(machineOf(t, { ...LINUX, ...IN_A_VM, ...firmware })), {
    product: 'QEMU Standard PC (Q35 + ICH9, 2009)',
    version: 'pc-q35-7.2',
    revision: '1.16.2-debian-1.16.2-1',
    features: ['hypervisor'],
  });
  t.test('without one it is unknown', async (t) => {
    t.same(await hostVersionBySysfs(machineOf(t, { ...LINUX, ...IN_A_VM })), {
      product: '',
      version: '',
      revision: '',
      features: ['hypervisor'],
    });
  });
});

t.test('a kernel on no hypervisor is the host itself', async (t) => {
  const own = { ...LINUX, '/proc/sys/kernel/version': '#1 SMP\n' };
  const bare = machineOf(t, { ...own, '/proc/cpuinfo': 'flags\t\t: fpu vmx\n' });
  t.match(await hostVersionBySysfs(bare), { product: 'Linux', version: '6.12.1', features: [] });
  t.test('in user mode it says so', async (t) => {
    const uml = machineOf(t, { ...own, '/proc/cpuinfo': UML_CPU });
    t.match(await hostVersionBySysfs(uml), { product: 'User Mode Linux', revision: '#1 SMP' });
  });
});

t.test('what is no Linux is not described as one', async (t) => {
  const machine = machineOf(t, {});
  t.equal(await hostVersionBySysfs(machine), undefined);
  t.equal(await kernelOf(machine), undefined);
  t.equal(await kernelOf(treeMachine(t.testdir(), LINUX)), 'linux');
  t.equal(await kernelOf({ ...machine, sysctl: async () => 'FreeBSD' }), 'freebsd');
  t.same(parseCpu(''), { vendor: '', isVirtual: false });
});

t.test('transports are known by modules, loaded or built in, and by drivers', async (t) => {
  const machine = machineOf(t, {
    '/proc/modules': 'vsock_loopback 16384 0 - Live 0x0\nvsock 53248 3 x, Live 0x0\n',
    '/sys/module/vhost_vsock/': '',
    '/sys/module/vsock_diag/': '',
    '/sys/bus/virtio/drivers/vmw_vsock_virtio_transport/': '',
  });
  const [, sockets, transports] = await findOut(machine, VSOCK_PROBES);
  t.match(sockets, { name: 'AF_VSOCK', state: 'missing' });
  t.match(transports, {
    state: 'ok',
    facts: {
      transports: ['vsock_loopback', 'vhost_vsock', 'vmw_vsock_virtio_transport'],
      tools: ['vsock_diag'],
    },
  });
});

t.test('devices that show vsock packets are those of type 826, up or down', async (t) => {
  const net = (name: string, type: number, flags: string) => ({
    [`/sys/class/net/${name}/type`]: `${type}\n`,
    [`/sys/class/net/${name}/flags`]: `${flags}\n`,
  });
  const ask = async (files: Record<string, string>) => {
    const [finding] = await findOut(machineOf(t, files), VSOCKMON_PROBES);
    return finding;
  };
  const lo = net('lo', 772, '0x9');
  t.match(await ask({ ...lo, ...net('mon1', 826, '0x80'), ...net('mon0', 826, '0x81') }), {
    state: 'ok',
    detail: "mon0 is up; mon1 is down, see 'ip link set mon1 up'",
    facts: { devices: ['mon0', 'mon1'], up: ['mon0'] },
  });
  const none = { state: 'missing', code: 'ENODEV', message: /no network device of the type/ };
  t.match(await ask(lo), none);
  t.match(await ask({}), none, 'no Linux');
});
