/** How a simulated host is set up, from what a user gave. */
import t from 'tap';
import { completeOptions } from '../../../src/core/daemon/options.js';

t.test('what is left out has its default', async (t) => {
  t.match(completeOptions({}), { profile: 'linux-6.12', vmmctl: 'landed', vmci: 'linux' });
});

t.test('whose drivers of VMCI there are', async (t) => {
  for (const vmci of ['linux', 'vmware', 'freebsd']) t.equal(completeOptions({ vmci }).vmci, vmci);
  t.throws(() => completeOptions({ vmci: 'other' }), { code: 'EINVAL', message: /other/ });
});
