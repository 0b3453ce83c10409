/** What `doctor` says in a lab, by the name of each row. */
import type { Test } from 'tap';
import type { Lab, RunOptions } from './lab.js';

export interface Row {
  state: string;
  code: string | null;
  detail: string | null;
  hint: string | null;
  version: string | null;
}

export async function doctor(t: Test, lab: Lab, options: RunOptions = {}) {
  const { status, stdout, stderr } = await lab.run('vmmctl doctor --json', options);
  t.equal(status, 0, stderr);
  t.equal(stderr, '');
  const { checks }: { checks: (Row & { name: string })[] } = JSON.parse(stdout.toString());
  return (name: string): Row | undefined => checks.find((row) => row.name === name);
}
