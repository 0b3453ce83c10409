/** What is sent to nodes that a test machine lacks, byte for byte as their headers have it. */
import t from 'tap';
import { findOut } from '../../../src/core/client/probe.js';
import { VBOXGUEST_PROBES } from '../../../src/core/client/vboxguest.js';
import { VHOST_VSOCK_PROBES, VhostVsock } from '../../../src/core/client/vhost-vsock.js';
import { openContext, VMCI_PROBES } from '../../../src/core/client/vmci.js';
import { recordedMachine } from '../../helpers/tree-machine.js';

/** size_in 40, version 1.1, type 0, rc 0, size_out 44, reserved; version 1.0 wanted, 1.0 at least. */
const VERSION_ASKED = `28000000 01000100 00000000 00000000 2c000000 00000000
  00000100 00000100 00000000 00000000 00000000`.replace(/\s/g, '');
const answer = (rc: string, session: string) =>
  `28000000 01000100 00000000 ${rc} 2c000000 00000000
   ${session} 00000100 2a000000 00000000 00000000`.replace(/\s/g, '');
const DRIVER_VERSION_INFO = 0xc02c5600;

t.test("VirtualBox's driver tells the versions", async (t) => {
  const { machine, isDone } = recordedMachine('/dev/vboxguest', [
    {
      request: DRIVER_VERSION_INFO,
      argument: VERSION_ASKED,
      answer: answer('00000000', '00000100'),
    },
  ]);
  const [found] = await findOut(machine, VBOXGUEST_PROBES);
  t.match(found, {
    state: 'ok',
    version: '1.0',
    detail: 'driver 1.0 revision 42',
    facts: { sessionVersion: '1.0', driverVersion: '1.0', revision: 42 },
  });
  t.ok(isDone());
});

t.test('a driver of another version is there, but not for us', async (t) => {
  const refusal = { request: DRIVER_VERSION_INFO, argument: VERSION_ASKED };
  const { machine } = recordedMachine('/dev/vboxuser', [
    { ...refusal, answer: answer('f5ffffff', 'ffffffff') },
  ]);
  const found = await findOut(machine, VBOXGUEST_PROBES);
  t.match(found[1], { name: '/dev/vboxuser', state: 'silent', code: 'EPROTO' });
});

t.test('/dev/vhost-vsock tells its features, and needs no owner for it', async (t) => {
  const { machine, isDone } = recordedMachine('/dev/vhost-vsock', [
    { request: 0x8008af00, argument: '0000000000000000', answer: '0200003d03000000' },
  ]);
  const [found] = await findOut(machine, VHOST_VSOCK_PROBES);
  t.match(found, { state: 'ok', detail: '8 features, with seqpacket' });
  t.match(found?.facts.features, ['VIRTIO_VSOCK_F_SEQPACKET', 'VIRTIO_F_NOTIFY_ON_EMPTY']);
  t.ok(isDone());
});

t.test('a guest CID is claimed by an owner', async (t) => {
  const { machine, isDone } = recordedMachine('/dev/vhost-vsock', [
    { request: 0xaf01, argument: 0 },
    { request: 0x4008af60, argument: '0200000000000000', error: 'EINVAL' },
    { request: 0x4008af60, argument: '0000000001000000', error: 'EINVAL' },
    { request: 0x4008af60, argument: '2a00000000000000' },
    { request: 0x4004af61, argument: '01000000', error: 'EFAULT' },
  ]);
  const vhost = await VhostVsock.open(machine);
  await t.rejects(vhost.setGuestCid(2n), { code: 'EINVAL' });
  await t.rejects(vhost.setGuestCid(2n ** 32n), { code: 'EINVAL' });
  await vhost.setGuestCid(42n);
  await t.rejects(vhost.setRunning(true), { code: 'EFAULT' });
  await vhost.close();
  t.ok(isDone());
});

t.test('a node that has an owner is closed again', async (t) => {
  const { machine, isDone } = recordedMachine('/dev/vhost-vsock', [
    { request: 0xaf01, argument: 0, error: 'EBUSY' },
  ]);
  await t.rejects(VhostVsock.open(machine), { code: 'EBUSY' });
  t.ok(isDone());
});

t.test('/dev/vmci tells its version, and gets no context by that', async (t) => {
  const { machine, isDone } = recordedMachine('/dev/vmci', [
    { request: 0x7a7, argument: '00000b00', result: 0xb0000 },
  ]);
  t.match(await findOut(machine, VMCI_PROBES), [{ state: 'ok', version: '11.0' }]);
  t.ok(isDone());
});

t.test('a context has the id that the kernel gives', async (t) => {
  const { machine, isDone } = recordedMachine('/dev/vmci', [
    { request: 0x7a7, argument: '00000b00', result: 0xb0000 },
    { request: 0x7a0, argument: '1000000000000000', answer: '1100000000000000' },
  ]);
  const { node, contextId } = await openContext(machine);
  t.equal(contextId, 17);
  await node.close();
  t.ok(isDone());
});
