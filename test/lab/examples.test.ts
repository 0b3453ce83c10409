/** The examples of help, README.md and the manual that use a machine's own nodes do what they say. */
import t from 'tap';
import { allExamples, isForDevice } from '../docs/examples.js';
import { PLANS as ELSEWHERE } from '../docs/plans.js';
import { LISTENING, type Plan, perform, VMCI_PLANS } from './device-examples.js';
import { bootUml, requireUml } from './uml.js';

const PLANS: Readonly<Record<string, Plan>> = {
  'vmmctl -b device vsock listen 5000 > received': {
    client: 'echo hello | vmmctl -b device vsock connect local 5000; cat received',
    clientOut: 'hello\n',
  },
  'echo hello | vmmctl -b device vsock connect local 5000': {
    background: { command: 'echo heard | vmmctl -b device vsock listen 5000', ready: LISTENING },
    out: /^heard\n$/,
  },
  'vmmctl -b device vsock cat tcp-listen:8080 host:80 --fork': {
    background: { command: 'socat -d -d VSOCK-LISTEN:80,fork PIPE', ready: LISTENING },
    client: 'echo hello | socat -t 30 - TCP:127.0.0.1:8080',
    clientOut: 'hello\n',
    endless: true,
  },
  'vmmctl -b device vsock list --json': { out: /^\[/ },
};

/** qemu-vmci.test.ts runs the others. */
function isOurs(line: string): boolean {
  const elsewhere = ELSEWHERE[line]?.elsewhere !== undefined || Object.hasOwn(VMCI_PLANS, line);
  return isForDevice(line) && !elsewhere;
}

t.test('examples for real nodes', async (t) => {
  if (!requireUml(t)) return;
  const lines = [...(await allExamples()).keys()].filter(isOurs);
  t.ok(lines.length > 3);
  t.same(
    Object.keys(PLANS).filter((line) => !lines.includes(line)),
    [],
    'no entry is left over',
  );
  const lab = await bootUml(t);
  for (const line of lines) await t.test(line, (t) => perform(t, lab, line, PLANS[line] ?? {}));
});
