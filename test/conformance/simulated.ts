/** The suite on a simulated host of the test's own. */
import type { Test } from 'tap';
import { simulatedHost } from '../helpers/host.js';
import type { KernelProfile } from './expected.js';
import type { Observation } from './suite.js';

/** The program that puts the suite to a backend, from the project's directory. */
export const RUN = 'build/test/conformance/run.js';

export async function observeSimulator(t: Test, kernel: KernelProfile): Promise<Observation[]> {
  const host = await simulatedHost(t);
  await host.run(['sim', 'start', '--profile', kernel]);
  const program = `${process.cwd()}/${RUN}`;
  const { status, stdout, stderr } = await host.program('node', [program, 'sim']).ended;
  if (status !== 0) throw new Error(`${RUN} ended with ${status}: ${stderr}`);
  return parseObservations(stdout.toString());
}

/** What `run.js` has printed. */
export function parseObservations(lines: string): Observation[] {
  const filled = lines.split('\n').filter((line) => line !== '');
  return filled.map((line) => JSON.parse(line) as Observation);
}
