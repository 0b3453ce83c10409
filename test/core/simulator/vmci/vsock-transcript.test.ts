/** What a program on /dev/vmci and the kernel's sockets say to each other on Linux 6.1, on the simulated host. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { simulatedStage } from '../../../helpers/vmci-stage.js';
import { Transcript, withoutChance } from '../../../helpers/vmci-vsock-transcript.js';
import { testWorld } from '../../../helpers/world.js';

function fixture(name: string): string[] {
  const text = readFileSync(`test/fixtures/vmci/${name}.txt`, 'utf8');
  return withoutChance(text.trimEnd().split('\n'));
}

async function replay(part: 'servers' | 'extensions'): Promise<string[]> {
  const transcript = new Transcript(simulatedStage(testWorld().world));
  await transcript.begin();
  await transcript[part]();
  return withoutChance(transcript.lines);
}

t.test('servers and clients of the kernel, and datagrams', async (t) => {
  t.strictSame(await replay('servers'), fixture('vsock'));
});

t.test('news of the queues, pages that go and come, a program that dies', async (t) => {
  t.strictSame(await replay('extensions'), fixture('vsock-ext'));
});
