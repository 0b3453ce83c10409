import t from 'tap';
import { SystemError } from '../../src/core/abi/errno.js';
import type { DeviceNode } from '../../src/core/backend/port.js';
import { requireV86 } from './v86.js';
import {
  type CallCase,
  connectCases,
  headerCases,
  hgcmCases,
  logCases,
  numberCases,
  requestCases,
  sizeCases,
} from './vboxguest-calls.js';
import { bootLabGuest, simulatedGuest, type VboxGuest } from './vboxguest-guests.js';

async function outcome(node: DeviceNode, test: CallCase): Promise<string> {
  const pointers = (test.pointers ?? []).map(({ at, to }) => ({ at, to: to.slice() }));
  const memory = () => pointers.map(({ to }) => Buffer.from(to).toString('hex')).join(' ');
  try {
    const { data } = await node.ioctl(test.request, test.argument, { pointers });
    const answer = test.argument.slice();
    answer.set(data.subarray(0, answer.length));
    for (const { at } of pointers) answer.fill(0, at, at + 4);
    if (test.differs) answer.fill(0, ...test.differs);
    return `ok ${Buffer.from(answer).toString('hex')} ${memory()}`;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return `${error.code} ${memory()}`;
  }
}

t.setTimeout(280000);
t.test('the simulated driver answers as the real one', async (t) => {
  if (!requireV86(t)) return;
  const real = await bootLabGuest(t);
  await real.lab.output('insmod /vboxguest.ko');
  const simulated = simulatedGuest(t);
  const groups = {
    connectCases,
    hgcmCases,
    sizeCases,
    headerCases,
    numberCases,
    requestCases,
    logCases,
  };
  for (const path of ['/dev/vboxguest', '/dev/vboxuser']) {
    const nodes = await Promise.all([real.open(path), simulated.open(path)]);
    for (const [name, cases] of Object.entries(groups)) {
      const t0 = performance.now();
      for (const test of cases()) {
        const t1 = performance.now(); const [expected, found] = await Promise.all(nodes.map((node) => outcome(node, test)));
        if (performance.now() - t1 > 100) console.log(test.title, Math.round(performance.now() - t1)); if (expected !== found)
          console.log(
            `DIFF ${path} ${test.title}\n  real ${expected?.slice(0, 200)}\n  sim  ${found?.slice(0, 200)}`,
          );
      }
      console.log(path, name, cases().length, Math.round(performance.now() - t0));
    }
    for (const node of nodes) await node.close();
  }
  console.log(real.log.length, simulated.log.length);
  const a = real.log.filter((x) => !simulated.log.includes(x)),
    b = simulated.log.filter((x) => !real.log.includes(x));
  console.log('only real', a, 'only sim', b);
  console.log(real.lab.console.slice(-6000));
});
