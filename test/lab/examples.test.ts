/** The examples of help, README.md and the manual that use a machine's own nodes do what they say. */
import t, { type Test } from 'tap';
import { allExamples, isForDevice } from '../docs/examples.js';
import { PLANS as ELSEWHERE } from '../docs/plans.js';
import type { Lab } from './lab.js';
import { bootUml, requireUml } from './uml.js';

/** How those are run that wait for others, or for whom others have to wait. */
interface Plan {
  /** Runs before and beside the example. */
  background?: { command: string; ready: RegExp };
  /** Run when the example says that it listens. */
  client?: string;
  /** What the client prints. */
  clientOut?: string;
  /** What the example prints. */
  out?: RegExp;
  /** It goes on for ever, and is ended. */
  endless?: boolean;
}

const LISTENING = /listening on/;

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

const IN_ITS_PLACE = 'mkdir -p /tmp/example && cd /tmp/example && ';

t.test('examples for real nodes', async (t) => {
  if (!requireUml(t)) return;
  const examples = [...(await allExamples()).keys()].filter(isForDevice);
  const lines = examples.filter((line) => ELSEWHERE[line]?.elsewhere === undefined);
  t.ok(lines.length > 3);
  t.same(
    Object.keys(PLANS).filter((line) => !lines.includes(line)),
    [],
    'no entry is left over',
  );
  const lab = await bootUml(t);
  for (const line of lines) await t.test(line, (t) => perform(t, lab, line, PLANS[line] ?? {}));
});

async function perform(t: Test, lab: Lab, line: string, plan: Plan): Promise<void> {
  const background = plan.background && lab.start(plan.background.command);
  if (plan.background !== undefined) await background?.waitFor(plan.background.ready);
  const example = lab.start(`${IN_ITS_PLACE}${line}`);
  if (plan.client !== undefined) {
    await example.waitFor(LISTENING);
    const { stdout, stderr } = await lab.run(`${IN_ITS_PLACE}${plan.client}`);
    t.equal(stdout.toString(), plan.clientOut, stderr);
  }
  if (plan.endless) await example.kill();
  const { status, stdout, stderr } = await example.exited;
  t.equal(status, plan.endless ? 143 : 0, stderr);
  t.notMatch(stderr, /warning|^\s+at /im, 'no warning, no stack');
  if (plan.out !== undefined) t.match(stdout.toString(), plan.out);
  await background?.kill();
  await background?.exited;
}
