/** Runs the examples of help, README.md and the manual: each does what it says. In parts, since they take a while. */
import { existsSync, readFileSync } from 'node:fs';
import type { Test } from 'tap';
import { requireTool } from '../helpers/requires.js';
import { allExamples, isForDevice } from './examples.js';
import { Place, type Ran } from './place.js';
import { PLANS, type Plan } from './plans.js';

const VM_NAMES = ['web1', 'web2', 'db1'];

/** @param part from 0; of `parts` parts. */
export async function runExamples(t: Test, part: number, parts: number): Promise<void> {
  t.jobs = 2;
  const examples = await allExamples();
  for (const [line, places] of [...examples].filter((_, index) => index % parts === part)) {
    const plan = PLANS[line] ?? {};
    if (plan.elsewhere !== undefined || isForDevice(line)) continue;
    t.test(`${line} (${places.join(', ')})`, { buffered: true }, async (t) => {
      if (!(plan.needs ?? []).every((tool) => requireTool(t, tool))) return;
      const place = new Place();
      t.teardown(() => place.close());
      await prepare(place, line, plan);
      await perform(t, place, line, plan);
    });
  }
}

/** The VMs that the example speaks of, but for one that it creates. */
async function prepare(place: Place, line: string, plan: Plan): Promise<void> {
  const created = /\bvmmctl create (\S+)/.exec(line)?.[1];
  const spoken = [line, plan.background, plan.client, plan.patientClient].join(' ');
  for (const name of VM_NAMES) {
    if (name === created || (name !== 'web1' && !spoken.includes(name))) continue;
    await mustRun(place, `vmmctl create ${name} --label tier=web`);
  }
  // Hosts of other examples, so that what is said about them is about one that runs.
  if (/sim (stop|restart|log) --backend sim:test/.test(line)) {
    await mustRun(place, 'vmmctl sim start --backend sim:test');
  }
  for (const each of plan.before ?? []) await mustRun(place, each);
}

async function perform(t: Test, place: Place, line: string, plan: Plan): Promise<void> {
  const background = plan.background === undefined ? undefined : place.start(plan.background);
  await background?.listening;
  const text = plan.instead === undefined ? line : line.replace(...plan.instead);
  const job = place.start(text, { stdin: plan.stdin, directory: plan.directory });
  if (plan.client !== undefined) {
    const said = await job.listening;
    const port = / port (\d+)/.exec(said)?.[1] ?? '';
    checkClient(t, plan, await place.run(plan.client, { env: { PORT: port } }));
  }
  if (plan.patientClient !== undefined) checkClient(t, plan, await place.run(plan.patientClient));
  if (plan.endless instanceof RegExp) t.ok(await job.prints(plan.endless), 'it prints');
  const ran = plan.endless ? await job.end() : await job.done;
  if (!plan.endless) t.equal(ran.status, 0, `status 0; ${ran.err}`);
  t.notMatch(ran.err, /warning|^\s+at /im, 'no warning, no stack');
  if (plan.out !== undefined) t.match(ran.out, plan.out);
  if (plan.files === undefined) return;
  // Whoever receives a file in the background ends when it has it.
  await background?.done;
  for (const [name, content] of Object.entries(plan.files)) {
    const path = place.file(name);
    t.equal(existsSync(path) ? readFileSync(path, 'utf8') : 'no file', content, name);
  }
}

function checkClient(t: Test, plan: Plan, { status, out, err }: Ran): void {
  t.equal(status, 0, `its client ends with 0; ${err}`);
  if (plan.clientOut !== undefined) t.match(out.trim(), plan.clientOut);
}

async function mustRun(place: Place, line: string): Promise<void> {
  const { status, err } = await place.run(line);
  if (status !== 0) throw new Error(`'${line}' ended with ${status}: ${err}`);
}
