import t from 'tap';
import { FAULT_KINDS } from '../../../src/core/client/faults.js';
import { FAULTS } from '../../../src/core/simulator/vbox/faults.js';

t.test('the client knows the faults that the simulator has', async (t) => {
  const known = FAULTS.map(({ kind, value, summary }) => ({ kind, value, summary }));
  t.same(FAULT_KINDS, known);
});
