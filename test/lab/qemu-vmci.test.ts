/** VMCI of Debian's stock kernel: our commands as a program on /dev/vmci, against its own AF_VSOCK and by themselves. */
import { readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { allExamples } from '../docs/examples.js';
import { withoutChance } from '../helpers/vmci-vsock-transcript.js';
import { perform, VMCI_PLANS } from './device-examples.js';
import type { Lab } from './lab.js';
import { bootQemu, requireQemu } from './qemu.js';

const V = 'vmmctl -b device vmci';
/** How long a transcript may take, milliseconds. */
const TRANSCRIPT_MS = 120_000;

async function output(t: Test, lab: Lab, command: string): Promise<string> {
  const { status, stdout, stderr } = await lab.run(command);
  t.strictSame([status, stderr], [0, ''], command);
  return stdout.toString();
}

async function refused(t: Test, lab: Lab, command: string, status: number, error: RegExp) {
  const finished = await lab.run(command);
  t.equal(finished.status, status, command);
  t.match(finished.stderr, error);
}

/** Debian's 6.1 is the kernel that the transcripts are of. */
t.test('VMCI in QEMU', async (t) => {
  if (!requireQemu(t, '6.1')) return;
  const modules = ['vmw_vmci', 'vsock', 'vmw_vsock_vmci_transport'];
  const lab = await bootQemu(t, { kernel: '6.1', memoryMiB: 512, modules });
  // First, since the resources that a kernel chooses count up.
  await t.test("a dialogue with the kernel's sockets", async (t) => {
    const { servers, extensions } = await transcript(t, lab, 'vsock');
    sameLines(t, servers, 'vsock.txt');
    sameLines(t, extensions, 'vsock-ext.txt');
  });
  await t.test('calls of the node', async (t) => {
    sameLines(t, await transcript(t, lab, 'calls'), 'basic.log');
  });
  await t.test('contexts', (t) => testContexts(t, lab));
  await t.test('datagrams', (t) => testDatagrams(t, lab));
  await t.test('what the node refuses', (t) => testRefusals(t, lab));
  await t.test('events', (t) => testEvents(t, lab));
  const examples = await allExamples();
  for (const [line, plan] of Object.entries(VMCI_PLANS)) {
    t.ok(examples.has(line), 'it is an example');
    await t.test(line, (t) => perform(t, lab, line, plan));
  }
});

async function transcript(t: Test, lab: Lab, which: string) {
  const command = `VMMCTL_LAB=1 node build/test/lab/programs/vmci.js ${which}`;
  const { status, stdout, stderr } = await lab.run(command, { timeoutMs: TRANSCRIPT_MS });
  t.equal(status, 0, stderr);
  return JSON.parse(stdout.toString());
}

function sameLines(t: Test, lines: readonly string[], fixture: string): void {
  const expected = readFileSync(`test/fixtures/vmci/${fixture}`, 'utf8').trimEnd().split('\n');
  t.strictSame(withoutChance(lines), withoutChance(expected), fixture);
}

async function testContexts(t: Test, lab: Lab): Promise<void> {
  t.equal(await output(t, lab, `${V} id`), '16\n');
  t.strictSame(JSON.parse(await output(t, lab, `${V} id --context 40 --json`)), { contextId: 40 });
  const holder = lab.start(`${V} doorbell wait 2000 --context 40`);
  await holder.waitFor('listening on 40:2000');
  t.equal(await output(t, lab, `${V} id --context 40`), '41\n', 'it is in use');
  await holder.kill('SIGINT');
  t.equal((await holder.exited).status, 130);
}

async function testDatagrams(t: Test, lab: Lab): Promise<void> {
  const receiver = lab.start(`${V} receive 500 --context 40 --json -v`);
  await receiver.waitFor('listening on 40:500');
  await output(t, lab, 'printf hello | vmmctl -b device vsock connect 40 500 --type dgram');
  const received = JSON.parse((await receiver.exited).stdout.toString());
  t.match(received, { src: /^2:\d+$/, dst: '40:500', size: 5, text: 'hello' });

  const listener = lab.start('vmmctl -b device vsock listen 5000 --type dgram');
  await listener.waitFor('listening');
  const sent = JSON.parse(await output(t, lab, `${V} send host:5000 --data ping --json`));
  t.strictSame(sent, { dst: '2:5000', sent: 28 });
  await listener.waitForOutput('ping');
  await listener.kill('SIGINT');
  await listener.exited;
}

async function testRefusals(t: Test, lab: Lab): Promise<void> {
  await refused(t, lab, `${V} send host:9999 -d x`, 6, /EHOSTUNREACH, from VMCI_ERROR_INVALID_RES/);
  await refused(t, lab, `${V} send 77:1 -d x`, 7, /EOPNOTSUPP, from VMCI_ERROR_DST_UNREACHABLE/);
  await refused(t, lab, `${V} doorbell ring host:5`, 6, /from VMCI_ERROR_NOT_FOUND/);
  const late = `${V} receive 500 --timeout 300ms`;
  await refused(t, lab, late, 6, /ETIMEDOUT/);
}

async function testEvents(t: Test, lab: Lab): Promise<void> {
  // Only a context that counts as no VM may watch one.
  const watching = lab.start(`${V} events --context 1 --watch 60 --count 1 --json -v`);
  await watching.waitFor('listening on');
  t.equal(await output(t, lab, `${V} id --context 60`), '60\n');
  t.strictSame(JSON.parse((await watching.exited).stdout.toString()), {
    event: 'ctx-removed',
    contextId: 60,
  });
  await refused(t, lab, `${V} events --watch 60`, 7, /EOPNOTSUPP/);
}
