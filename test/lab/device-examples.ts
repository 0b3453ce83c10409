/** How examples are run that use the nodes of a lab's kernel. */
import type { Test } from 'tap';
import type { Lab } from './lab.js';

/** How an example is run that waits for others, or for which others have to wait. */
export interface Plan {
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

export const LISTENING = /listening on/;

/** Those that need VMCI; all others run in user-mode Linux. */
export const VMCI_PLANS: Readonly<Record<string, Plan>> = {
  'vmmctl -b device vmci receive 500 --context 40': {
    client: 'echo hello | vmmctl -b device vsock connect 40 500 --type dgram',
    clientOut: '',
    out: /^hello\n$/,
  },
  'echo hello | vmmctl -b device vsock connect 40 500 --type dgram': {
    background: { command: 'vmmctl -b device vmci receive 500 --context 40', ready: LISTENING },
  },
};

const IN_ITS_PLACE = 'mkdir -p /tmp/example && cd /tmp/example && ';

export async function perform(t: Test, lab: Lab, line: string, plan: Plan): Promise<void> {
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
