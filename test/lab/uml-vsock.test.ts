/** The vsock commands in user-mode Linux. */
import t from 'tap';
import { bootUml, requireUml } from './uml.js';
import { testMissingTransport, testVsockCommands } from './vsock-commands.js';

t.test('vsock commands in user-mode Linux', async (t) => {
  if (!requireUml(t)) return;
  const lab = await bootUml(t);
  await testVsockCommands(t, lab, 100);
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
});
