/** The vsock commands in user-mode Linux. */
import t from 'tap';
import { doctor } from './doctor.js';
import { bootUml, requireUml } from './uml.js';
import { testMissingTransport, testVsockCommands } from './vsock-commands.js';

t.test('vsock commands in user-mode Linux', async (t) => {
  if (!requireUml(t)) return;
  const lab = await bootUml(t);
  await testVsockCommands(t, lab, 100);
  await t.test('doctor', async (t) => {
    const row = await doctor(t, lab);
    t.match(row('/dev/vsock'), { state: 'ok', detail: 'local CID 1' });
    t.match(row('AF_VSOCK'), { state: 'ok', detail: 'stream, seqpacket; no dgram (ENODEV)' });
    t.match(row('transports'), { state: 'ok', detail: /vsock_loopback/ });
    t.match(row('/dev/cuse'), { state: 'missing', hint: /modprobe cuse/ });
  });
  await t.test('no descriptor is left of 10,000 connections', async (t) => {
    const program = 'VMMCTL_LAB=1 node build/test/lab/programs/connections.js 10000';
    const { stdout, stderr } = await lab.run(program, { timeoutMs: 300_000 });
    t.equal(stderr, '');
    const { bytes, before, after, closed } = JSON.parse(stdout.toString());
    t.equal(bytes, 20_000);
    t.equal(after, before);
    t.ok(closed < before);
  });
  await testMissingTransport(t, lab);
  await t.test('doctor without vsock', async (t) => {
    const row = await doctor(t, lab);
    t.match(row('/dev/vsock'), { state: 'missing', code: 'ENOENT', hint: /modprobe vsock/ });
    t.match(row('AF_VSOCK'), { state: 'missing', code: 'EAFNOSUPPORT', hint: /modprobe vsock/ });
    t.match(row('transports'), { state: 'missing' });
  });
});
