/** The suite on real kernels: their loopback gives what the simulated host gives. */
import t, { type Test } from 'tap';
import type { KernelProfile } from '../conformance/expected.js';
import { observeSimulator, parseObservations, RUN } from '../conformance/simulated.js';
import type { Observation } from '../conformance/suite.js';
import { compare, differences, type LabName, table } from '../conformance/table.js';
import { type Lab, NOBODY } from './lab.js';
import { bootQemu, requireQemu } from './qemu.js';
import { bootUml, requireUml } from './uml.js';

/** An emulated processor takes its time. */
const SUITE_MS = 240_000;

async function observeKernel(lab: Lab): Promise<Observation[]> {
  const observations: Observation[] = [];
  for (const user of [0, NOBODY]) {
    const command = `VMMCTL_LAB=1 node ${RUN} device`;
    const { status, stdout, stderr } = await lab.run(command, { user, timeoutMs: SUITE_MS });
    if (status !== 0) throw new Error(`${RUN} ended with ${status}: ${stderr}`);
    observations.push(...parseObservations(stdout.toString()));
  }
  return observations;
}

async function conform(t: Test, name: LabName, lab: Lab, kernel: KernelProfile): Promise<void> {
  t.ok(lab.release.startsWith(kernel.replace('linux-', '')), `${lab.release} is ${kernel}`);
  const rows = compare(await observeSimulator(t, kernel), await observeKernel(lab));
  for (const line of table(rows, lab.release).split('\n')) t.comment(line);
  t.strictSame(differences(rows, name), []);
}

t.test('the loopback of Linux 6.1', async (t) => {
  if (!requireUml(t)) return;
  await conform(t, 'user-mode Linux', await bootUml(t), 'linux-6.1');
});

t.test('the loopback of Linux 6.12, on a host for VMs', async (t) => {
  if (!requireQemu(t)) return;
  const modules = ['vsock_loopback', 'vsock_diag', 'vhost_vsock'];
  await conform(t, 'QEMU', await bootQemu(t, { modules }), 'linux-6.12');
});
