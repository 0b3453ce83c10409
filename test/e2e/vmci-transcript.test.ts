/** /dev/vmci over the daemon answers a program as the one of Linux 6.1 did, with memory that both have. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import t from 'tap';
import { simulatedHost } from '../helpers/host.js';

const PROGRAM = 'build/test/lab/programs/vmci.js';

/**
 * A guest has a device: what is for a context that its kernel doesn't know goes to the host, from an endpoint of the kernel
 * alone.
 */
const IN_A_GUEST = ['no such ctx -> 0 result -10', 'no such ctx -> 0 result -8'] as const;

t.test('the transcript of the node', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const log = readFileSync('test/fixtures/vmci/basic.log', 'utf8').trimEnd();
  const replay = async (...vm: string[]) => {
    const program = host.program('node', [resolve(PROGRAM), 'calls', 'sim', ...vm]);
    const { status, stdout, stderr } = await program.ended;
    t.equal(status, 0, stderr);
    return JSON.parse(stdout.toString());
  };
  t.strictSame(await replay(), log.split('\n'), 'the host');
  t.strictSame(await replay('web1'), log.replace(...IN_A_GUEST).split('\n'), 'a guest');
});
