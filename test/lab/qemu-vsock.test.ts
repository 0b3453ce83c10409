/** The vsock commands on Debian's stock kernel, and what passes between them. */
import t from 'tap';
import { bootQemu, requireQemu } from './qemu.js';
import { testMissingTransport, testVsockCommands } from './vsock-commands.js';
import { testVsockmon } from './vsockmon.js';

t.test('vsock commands in QEMU', async (t) => {
  if (!requireQemu(t)) return;
  const lab = await bootQemu(t, { memoryMiB: 1024 });
  await t.test('vsockmon', (t) => testVsockmon(t, lab));
  await testVsockCommands(t, lab, 20);
  await testMissingTransport(t, lab);
});
