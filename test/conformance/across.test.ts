/** Connections between a VM and its host behave alike whatever carries them. */
import t from 'tap';
import { simulatedHost } from '../helpers/host.js';
import { expectedAcross } from './across-expected.js';
import { parseObservations } from './simulated.js';

/** The program that puts the suite to a VM and its host, from the project's directory. */
const RUN = `${process.cwd()}/build/test/conformance/run-across.js`;

for (const transport of ['virtio', 'vmci'] as const) {
  for (const role of ['servers', 'clients'] as const) {
    t.test(`over ${transport}, with the host's as ${role}`, async (t) => {
      const host = await simulatedHost(t);
      await host.run(['create', 'vm', '--vsock-transport', transport]);
      const program = host.program('node', [RUN, 'sim', 'vm', role]);
      const { status, stdout, stderr } = await program.ended;
      t.equal(status, 0, stderr.toString());
      const observed = parseObservations(stdout.toString());
      const wanted = expectedAcross(transport);
      t.strictSame(
        observed.map(({ name }) => name),
        wanted.map(({ name }) => name),
        'each case is asked once',
      );
      for (const { name, observation } of wanted) {
        t.equal(observed.find((one) => one.name === name)?.observation, observation, name);
      }
    });
  }
}
