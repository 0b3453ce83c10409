/** The nodes of Debian's stock kernel, asked and driven by the clients. */
import t from 'tap';
import { doctor } from './doctor.js';
import { NOBODY } from './lab.js';
import { bootQemu, requireQemu } from './qemu.js';

const MIB = 2 ** 20;
const MODULES = ['vhost_vsock', 'vsock_loopback', 'vmw_vmci', 'virtio_balloon', 'cuse'];
const EINVAL = 'EINVAL';

t.test('datagrams over VMCI', async (t) => {
  if (!requireQemu(t)) return;
  const lab = await bootQemu(t, { modules: ['vmw_vmci', 'vmw_vsock_vmci_transport'] });
  const row = await doctor(t, lab);
  t.match(row('AF_VSOCK'), { state: 'ok', detail: 'stream, seqpacket, dgram' });
  const listener = lab.start('printf answer | vmmctl -b device vsock listen 5000 --type dgram');
  await listener.waitFor('listening');
  const command = 'printf question | vmmctl -b device vsock connect host 5000 --type dgram';
  const { status, stderr } = await lab.run(command);
  t.equal(status, 0, stderr);
  await listener.waitForOutput('question');
  await listener.kill('SIGINT');
  t.equal((await listener.exited).status, 130);
});

t.test('nodes in QEMU', async (t) => {
  if (!requireQemu(t)) return;
  const lab = await bootQemu(t, { memoryMiB: 512, modules: MODULES });
  const given = 128 * MIB;
  await lab.qmp('balloon', { value: 512 * MIB - given });
  const inflated = `[ "$(awk '$1 == "balloon_inflate" { print $2 }' /proc/vmstat)" -ge ${given / 4096} ]`;
  t.equal((await lab.run(`until ${inflated}; do :; done`)).status, 0, 'the balloon is filled');

  await t.test('doctor', async (t) => {
    const row = await doctor(t, lab);
    t.match(row('/dev/vsock'), { state: 'ok', detail: 'local CID 2' });
    t.match(row('AF_VSOCK'), { state: 'ok', detail: 'stream, seqpacket; no dgram (ENODEV)' });
    t.match(row('/dev/vhost-vsock'), { state: 'ok', detail: /features, with seqpacket/ });
    t.match(row('/dev/vmci'), { state: 'ok', version: '11.0' });
    t.match(row('/dev/kvm'), { state: 'missing', code: 'ENOENT' });
    t.match(row('/dev/cuse'), { state: 'ok' });
    t.match(row('virtio_balloon'), { state: 'ok', detail: /holds 128 MiB/ });
  });

  await t.test('doctor for a user without rights', async (t) => {
    const row = await doctor(t, lab, { user: NOBODY });
    for (const name of ['/dev/vsock', '/dev/vhost-vsock', '/dev/vmci']) {
      t.match(row(name), { state: 'denied', code: 'EACCES', hint: /chown/ }, name);
    }
    t.match(row('AF_VSOCK'), { state: 'ok' });
  });

  await t.test('the host is the emulator', async (t) => {
    const { status, stdout } = await lab.run('vmmctl -b device host-version --json');
    t.equal(status, 0);
    t.match(JSON.parse(stdout.toString()), { product: /^QEMU/ });
  });

  await t.test('vhost-vsock, VMCI and the balloon are driven by the clients', async (t) => {
    const program = 'VMMCTL_LAB=1 node build/test/lab/programs/nodes.js';
    const { status, stdout, stderr } = await lab.run(program);
    t.equal(status, 0, stderr);
    const { vhost, vmci, balloon } = JSON.parse(stdout.toString());
    t.strictSame(vhost, {
      claims: [EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, 'ok', 'ok', 'ok'],
      taken: 'EADDRINUSE',
      freed: 'ok',
      running: 'EFAULT',
      withoutOwner: 'EPERM',
    });
    t.strictSame(vmci.ids, [16, 17]);
    t.match(balloon, { unit: 4096, actual: given, inflated: given, deflated: 0 });
  });

  await t.test('there is no VMM of FreeBSD', async (t) => {
    for (const command of ['list', 'create web1', 'destroy web1', 'inspect web1']) {
      const { status, stderr } = await lab.run(`vmmctl -b device ${command}`);
      t.equal(status, 7, command);
      t.match(stderr, /\/dev\/vmmctl.*\(ENXIO\)\nhint: /);
    }
  });
});
