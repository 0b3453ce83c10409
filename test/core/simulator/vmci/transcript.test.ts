/** The simulated /dev/vmci answers as the one of Linux 6.1 did, call by call. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { ROOT } from '../../../../src/core/simulator/node.js';
import { vmciMachine } from '../../../helpers/vmci-machine.js';
import { VmciLab } from '../../../helpers/vmci-transcript.js';
import { VMCI_TRANSCRIPT } from '../../../helpers/vmci-transcript-pairs.js';
import { testWorld } from '../../../helpers/world.js';

t.test('the steps are the lines of the log, in its order', async (t) => {
  const lines = readFileSync('test/fixtures/vmci/basic.log', 'utf8').trimEnd().split('\n');
  t.strictSame(
    VMCI_TRANSCRIPT.map(({ line }) => line),
    lines,
  );
});

/**
 * A guest passes on what is for a context that it does not know, and its driver sends for its own endpoints alone. The
 * log is of a machine without the device.
 */
const IN_A_GUEST = new Map([['no such ctx -> 0 result -10', 'no such ctx -> 0 result -8']]);

for (const place of ['the host', 'a guest'] as const) {
  t.test(`${place} answers as the real node did`, async (t) => {
    const { world, create, settle } = testWorld();
    create('vm');
    const isHost = place === 'the host';
    const machine = isHost ? world.host : world.domain('vm', ROOT).machine;
    const lab = new VmciLab(vmciMachine(() => machine.open('/dev/vmci', ROOT, 'rw'), settle));
    for (const { line, run } of VMCI_TRANSCRIPT) {
      const wanted = isHost ? line : (IN_A_GUEST.get(line) ?? line);
      t.equal(await run(lab), wanted, line);
    }
    await lab.closeAll();
  });
}
