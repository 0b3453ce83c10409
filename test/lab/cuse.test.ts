/**
 * Simulated nodes as real ones, by CUSE, in user-mode Linux: a C program that knows the kernel's headers and nothing of
 * vmmctl, and our own commands on the nodes of the machine.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { requireTool } from '../helpers/requires.js';
import type { LabCommand } from './command.js';
import { testVmciNode } from './cuse-vmci.js';
import { type Lab, NOBODY, type RunOptions } from './lab.js';
import { bootUml, requireUml } from './uml.js';
import { testVcpuCalls } from './vcpu-calls.js';

const D = 'vmmctl -b device';
const DISPLAY_CHANGE_REQUEST = 0x4;

/** What a command has written, when it succeeded. */
async function output(t: Test, lab: Lab, command: string, options?: RunOptions): Promise<string> {
  const { status, stdout, stderr } = await lab.run(command, options);
  t.strictSame([status, stderr], [0, ''], command);
  return stdout.toString();
}

async function refused(t: Test, lab: Lab, command: string, status: number, error: RegExp) {
  const finished = await lab.run(command);
  t.equal(finished.status, status, command);
  t.match(finished.stderr, error);
}

/** Compiles the program; gives how it is run on a node. */
function compiled(lab: Lab) {
  const program = join(lab.directory, 'cuse-calls');
  const source = 'test/lab/programs/cuse-calls.c';
  execFileSync('cc', ['-std=gnu11', '-D_GNU_SOURCE', '-Wall', '-Werror', '-o', program, source]);
  return (node: string, ...words: string[]) => [program, node, ...words].join(' ');
}

type Calls = ReturnType<typeof compiled>;

t.test('simulated nodes by CUSE', async (t) => {
  if (!requireUml(t) || !requireTool(t, 'cc')) return;
  const lab = await bootUml(t, { modules: [] });
  const calls = compiled(lab);
  await output(t, lab, 'vmmctl create web1 --memory 64M && vmmctl create web2 --memory 64M');

  await t.test('without CUSE', async (t) => {
    const noCuse = /no CUSE \(ENODEV\)(.|\n)*modprobe cuse/;
    await refused(t, lab, 'vmmctl sim export web1 --cuse', 7, noCuse);
    await refused(t, lab, 'vmmctl sim export --host --cuse', 7, noCuse);
  });

  await lab.loadModule('cuse');
  await t.test('nodes come and are listed', (t) => testExport(t, lab));
  await t.test('a C program on the nodes of a guest', (t) => testCalls(t, lab, calls));
  await t.test('calls that wait', (t) => testWaiting(t, lab, calls));
  await t.test('the node of VMCI', (t) => testVmciNode(t, lab));
  await t.test('who may use them', (t) => testUsers(t, lab, calls));
  await t.test('our own commands on them', (t) => testCommands(t, lab));
  await t.test("the host's nodes", (t) => testHost(t, lab));
  await t.test('a C program on a vCPU', (t) => testVcpuCalls(t, lab));
  await t.test('nodes go', (t) => testEnd(t, lab, calls));
});

async function testExport(t: Test, lab: Lab): Promise<void> {
  const nodes = '/dev/vboxguest\n/dev/vboxuser\n/dev/vmci\n';
  t.equal(await output(t, lab, 'vmmctl sim export web1 --cuse'), nodes);
  t.equal(await output(t, lab, 'vmmctl sim export web1 --cuse'), nodes, 'it stays as it is');
  t.equal(
    await output(t, lab, 'stat -c %a:%F /dev/vboxguest /dev/vboxuser'),
    '660:character special file\n666:character special file\n',
  );
  const [details] = JSON.parse(await output(t, lab, 'vmmctl inspect web1'));
  t.match(
    details.exports.filter(({ kind }: { kind: string }) => kind === 'cuse'),
    [{ path: '/dev/vboxguest' }, { path: '/dev/vboxuser' }, { path: '/dev/vmci' }],
  );
  await refused(
    t,
    lab,
    'vmmctl sim export web2 --cuse',
    4,
    /\/dev\/vboxguest: there is a node of this name already \(EEXIST\)/,
  );
}

async function testCalls(t: Test, lab: Lab, calls: Calls): Promise<void> {
  const guest = (...words: string[]) => output(t, lab, calls('/dev/vboxguest', ...words));
  t.equal(await guest('version'), 'ok rc 0 session 0x10000 driver 0x10000\n');
  t.equal(await guest('balloon'), 'ok chunks 0\n');
  t.equal(await guest('time'), 'ok told, ok told\n', 'by both ioctls for requests');
  t.equal(await guest('set', '/c/property', 'fromC'), 'ok rc 0\n');
  t.equal(await output(t, lab, 'vmmctl guestprop get --vm web1 /c/property'), 'fromC\n');
  t.match(await guest('get', '/c/property', '100000'), /^ok rc 0 value fromC size \d+\n$/);
  t.equal(await guest('get', '/c/property', '2'), 'ok rc -41\n', 'VERR_BUFFER_OVERFLOW');
  t.equal(
    await guest('get', '/c/property', '200000'),
    'ENOMEM rc -225\n',
    'more than CUSE carries',
  );
  t.equal(await guest('get', '/c/none', '100'), 'ok rc -78\n', 'VERR_NOT_FOUND');
  const refusals = [
    'request EPERM, number ENOTTY, version EINVAL, header EINVAL, address EFAULT, size ENOMEM,',
    'terminal EINVAL, read EINVAL, write EINVAL, mmap ENODEV\n',
  ];
  t.equal(await guest('refusals'), refusals.join(' '));
  t.equal(await guest('poll'), '1 0x5\n');
  const many = `for i in {1..30}; do ${calls('/dev/vboxuser', 'time')} & done; wait`;
  t.equal(await output(t, lab, many), 'ok told, ok told\n'.repeat(30), 'side by side');
  t.equal(await guest('log', 'a-line-of-C'), 'ok\n');
}

async function testWaiting(t: Test, lab: Lab, calls: Calls): Promise<void> {
  const guest = (...words: string[]) => calls('/dev/vboxguest', ...words);
  const events = async (): Promise<LabCommand> => {
    const waiting = lab.start(guest('events', `${DISPLAY_CHANGE_REQUEST}`));
    await waiting.waitForOutput('filter ok');
    return waiting;
  };
  const waiting = await events();
  await output(t, lab, 'vmmctl events raise web1 display-change-request');
  t.equal((await waiting.exited).stdout.toString(), 'filter ok\nok events 0x4\n');
  t.equal(await output(t, lab, guest('interrupted')), 'EINTR\nETIMEDOUT\n', 'by SIGALRM');

  const killed = await events();
  await killed.kill('SIGKILL');
  t.equal((await killed.exited).status, 137);
  t.equal(await output(t, lab, guest('balloon')), 'ok chunks 0\n', 'the node goes on');
}

async function testUsers(t: Test, lab: Lab, calls: Calls): Promise<void> {
  const as = { user: NOBODY };
  const version = await output(t, lab, calls('/dev/vboxuser', 'version'), as);
  t.match(version, /^ok rc 0/);
  const { status, stdout } = await lab.run(calls('/dev/vboxguest', 'version'), as);
  t.strictSame([status, stdout.toString()], [1, 'open EACCES\n']);
}

async function testCommands(t: Test, lab: Lab): Promise<void> {
  await output(t, lab, `${D} guestprop set /of/vmmctl 'by device'`);
  t.equal(await output(t, lab, `${D} guestprop get /of/vmmctl`), 'by device\n');
  t.equal(await output(t, lab, 'vmmctl guestprop get --vm web1 /of/vmmctl'), 'by device\n');
  const list = JSON.parse(await output(t, lab, `${D} guestprop list '/of/*' --json`));
  t.match(list, [{ name: '/of/vmmctl', value: 'by device' }]);

  const waiting = lab.start(`${D} -v events wait --mask display-change-request --json`);
  await waiting.waitFor('waiting for');
  await output(t, lab, 'vmmctl events raise web1 display-change-request');
  t.match(JSON.parse((await waiting.exited).stdout.toString()), {
    events: ['display-change-request'],
  });

  await output(t, lab, 'vmmctl balloon set web1 8M --wait');
  const [balloon] = JSON.parse(await output(t, lab, `${D} balloon --json`));
  t.equal(balloon.actual, 8 * 2 ** 20);
  const version = JSON.parse(await output(t, lab, `${D} host-version --json`));
  t.match(version.product, 'User Mode Linux', 'the kernel that runs');
  const paths = version.nodes.map(({ path }: { path: string }) => path);
  t.ok(['/dev/vboxguest', '/dev/vboxuser', '/dev/cuse'].every((path) => paths.includes(path)));
}

async function testHost(t: Test, lab: Lab): Promise<void> {
  t.equal(await output(t, lab, 'vmmctl sim export --host --cuse'), '/dev/vmmctl\n');
  const names = async (command: string) =>
    JSON.parse(await output(t, lab, command)).map(({ name }: { name: string }) => name);
  t.strictSame(await names(`${D} list --json`), ['web1', 'web2'], 'those that were there');
  t.equal(await output(t, lab, `${D} create db1 --cpus 2 --memory 64M`), 'db1\n');
  t.strictSame(await names('vmmctl list --json'), ['db1', 'web1', 'web2']);
  const [vm] = JSON.parse(await output(t, lab, `${D} inspect db1`));
  t.match(vm, { name: 'db1', cpus: 2, memory: 64 * 2 ** 20 });
  await refused(t, lab, `${D} create db1`, 4, /there is already a VM 'db1' \(EEXIST\)/);
  await refused(t, lab, `${D} inspect db9`, 3, /no VM 'db9' \(ENOENT\)/);

  const inside = await output(t, lab, `${D} create tmp1 --ephemeral -- ls /dev/vmm`);
  t.equal(inside, 'db1\ntmp1\nweb1\nweb2\n', 'it lives as long as the command');
  await output(t, lab, `${D} destroy db1`);
  await output(t, lab, 'vmmctl create made-by-sim --memory 64M');
  t.equal(await output(t, lab, 'ls /dev/vmm'), 'made-by-sim\nweb1\nweb2\n');
  const { status, stderr } = await lab.run(`${D} create no`, { user: NOBODY });
  t.equal(status, 5);
  t.match(stderr, 'EACCES');
}

async function testEnd(t: Test, lab: Lab, calls: Calls): Promise<void> {
  const wait = calls('/dev/vboxguest', 'events', `${DISPLAY_CHANGE_REQUEST}`);
  const started = async (): Promise<LabCommand> => {
    const waiting = lab.start(wait);
    await waiting.waitForOutput('filter ok');
    return waiting;
  };
  const nodes = () => lab.run('ls -d /dev/vbox* /dev/vmci /dev/vmm*');
  const first = await started();
  await output(t, lab, 'vmmctl sim export web1 --cuse --off');
  t.equal((await first.exited).stdout.toString(), 'filter ok\nECONNABORTED\n');
  t.equal((await nodes()).stdout.toString(), '/dev/vmm\n/dev/vmmctl\n');

  const descriptors = () => output(t, lab, 'ls /proc/$(pgrep -o vmmctl-sim)/fd | wc -l');
  const before = Number(await descriptors());
  t.match(await output(t, lab, 'vmmctl sim export web2 --cuse'), '/dev/vboxguest');
  t.equal(Number(await descriptors()), before + 3, 'one for each node');
  await output(t, lab, 'vmmctl destroy web2');
  t.equal((await nodes()).stdout.toString(), '/dev/vmm\n/dev/vmmctl\n', 'with the VM');
  // The VM's own node and its hybrid socket went too.
  t.equal(Number(await descriptors()), before - 2, 'nothing is left of them');

  await output(t, lab, 'vmmctl sim export web1 --cuse');
  await output(t, lab, 'vmmctl sim export --host --cuse --off');
  const last = await started();
  await output(t, lab, 'vmmctl sim stop -q');
  t.equal((await last.exited).stdout.toString(), 'filter ok\nECONNABORTED\n');
  t.not((await nodes()).status, 0, 'with the simulated host');
}
