/** The lab in QEMU keeps its promises, and has the devices that user-mode Linux lacks. */
import t from 'tap';
import { testLab } from './contract.js';
import { bootQemu, requireQemu } from './qemu.js';

const MIB = 2 ** 20;

t.test('a lab in QEMU', async (t) => {
  if (!requireQemu(t)) return;
  const lab = await bootQemu(t, { memoryMiB: 512 });
  t.match(lab.release, /^6\.12\./);

  await t.test('it has vhost-vsock and VMCI', async (t) => {
    for (const name of ['vhost_vsock', 'vmw_vmci', 'vmw_vsock_vmci_transport', 'vsockmon']) {
      await lab.loadModule(name);
    }
    t.equal((await lab.run('[ -c /dev/vhost-vsock ] && [ -c /dev/vmci ]')).status, 0);
    t.equal((await lab.run('ip link add vsockmon0 type vsockmon')).status, 0);
  });

  await t.test('QMP sets its balloon', async (t) => {
    await lab.loadModule('virtio_balloon');
    await lab.qmp('balloon', { value: 448 * MIB });
    const inflated =
      'until [ "$(awk \'$1 == "balloon_inflate" { print $2 }\' /proc/vmstat)" -ge 16384 ]; do :; done';
    t.equal((await lab.run(inflated)).status, 0, 'the guest gave 64 MiB away');
    await t.rejects(lab.qmp('no-such-command'), /no-such-command/);
  });

  await testLab(t, lab);
});

t.test('it boots the older kernel as well', async (t) => {
  if (!requireQemu(t, '6.1')) return;
  const lab = await bootQemu(t, { kernel: '6.1', modules: ['vhost_vsock'] });
  t.match(lab.release, /^6\.1\./);
  t.equal((await lab.run('[ -c /dev/vhost-vsock ]')).status, 0);
});

t.test('a kernel that does not boot shows its last words', async (t) => {
  if (!requireQemu(t)) return;
  await t.rejects(bootQemu(t, { memoryMiB: 16 }), /QEMU ended while it booted/);
});
