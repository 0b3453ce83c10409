/** The simulated host behaves as the kernels that its profiles name. */
import t from 'tap';
import { simulatedHost } from '../helpers/host.js';
import { expected, KERNELS } from './expected.js';
import { observeSimulator, RUN } from './simulated.js';

for (const kernel of KERNELS) {
  t.test(`the simulated host is ${kernel}`, async (t) => {
    const observed = await observeSimulator(t, kernel);
    const wanted = expected(kernel);
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

t.test('a backend that is not simulated is refused outside a lab', async (t) => {
  const host = await simulatedHost(t);
  // Not the name of a real one: should it not be refused, nothing must happen.
  const { status, stderr } = await host.program('node', [`${process.cwd()}/${RUN}`, 'real']).ended;
  t.equal(status, 2);
  t.match(stderr, /only asked in a lab/);
});
