/** `doctor` on the machine that runs the test, and on simulated ones. */
import { accessSync, constants, existsSync, readdirSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import t from 'tap';
import type { Check } from '../../src/commands/doctor-view.js';
import { simulatedHost } from '../helpers/host.js';
import { requireTool } from '../helpers/requires.js';

interface Report {
  backend: string;
  machine: string;
  kernel: string | null;
  usable: boolean;
  checks: Check[];
}

/** A user without any rights of its own. */
const NOBODY = '65534';

t.test('doctor', async (t) => {
  const host = await simulatedHost(t);
  const named = ({ checks }: Report, name: string) => checks.find((check) => check.name === name);

  await t.test('this machine is asked, and nothing is started or written', async (t) => {
    const report = await host.json<Report>(['doctor']);
    t.match(report, { backend: 'device', machine: 'host', kernel: 'linux' });
    t.match(named(report, 'sim'), { state: 'ok', facts: { running: false } });
    t.match(named(report, 'koffi'), { state: 'ok' });
    t.match(named(report, 'runtime'), { state: 'ok', detail: host.runtime });
    t.match(named(report, '/dev/vmmctl'), { state: 'missing', hint: 'only on FreeBSD' });
    for (const check of report.checks.filter(({ state }) => state === 'missing')) {
      t.type(check.hint, 'string', check.name);
    }
    t.same(readdirSync(host.directory), ['bin']);
  });

  await t.test('the page and the names are of the same checks', async (t) => {
    const { checks } = await host.json<Report>(['doctor']);
    const page = (await host.run(['doctor'])).stdout.toString();
    for (const { name, state } of checks) {
      t.ok(new RegExp(`^  ${name} +${state}\\b`, 'm').test(page), `${name} ${state}`);
    }
    const usable = checks.filter(({ state }) => state === 'ok').map(({ name }) => name);
    const { stdout } = await host.run(['doctor', '--quiet']);
    t.equal(stdout.toString(), usable.map((name) => `${name}\n`).join(''));
  });

  await t.test('another user can be no user of this machine', async (t) => {
    const ran = await host.run(['doctor', '--as', '1000']);
    t.match(ran, { status: 7, stderr: /another caller.*\(EOPNOTSUPP\)/ });
  });

  await t.test('who this machine runs on is said, or null', async (t) => {
    const about = await host.json<Record<string, unknown>>(['-b', 'device', 'host-version']);
    for (const field of ['product', 'version', 'revision']) {
      t.ok(about[field] === null || /./.test(String(about[field])), field);
    }
    const paths = (about.nodes as { path: string }[]).map(({ path }) => path);
    const { checks } = await host.json<Report>(['doctor']);
    const usable = checks.filter(({ name, state }) => name.startsWith('/dev/') && state === 'ok');
    t.same(
      paths,
      usable.map(({ name }) => name),
    );
  });

  await t.test('a simulated host that does not run is not started', async (t) => {
    const report = await host.json<Report>(['doctor', '-b', 'sim']);
    t.same(
      report.checks.map(({ system }) => system).filter((system) => system !== 'vmmctl'),
      [],
    );
    t.equal((await host.run(['doctor', '-b', 'sim', '--strict'])).status, 7);
    t.equal((await host.run(['doctor', '--in', 'web1'])).status, 7);
    t.same(readdirSync(host.directory), ['bin']);
  });

  await t.test('a simulated machine shows what it has', async (t) => {
    await host.run(['create', 'web1']);
    const report = await host.json<Report>(['doctor', '-b', 'sim', '--strict']);
    t.match(named(report, '/dev/vmmctl'), { state: 'ok', commands: ['create', 'destroy'] });
    t.match(named(report, '/dev/vmm'), { state: 'ok', detail: '1 VM', facts: { vms: 1 } });
    t.match(named(report, 'hw.vmm'), { state: 'ok', facts: { 'hw.vmm.maxvmms': '0' } });
    t.match(named(report, '/dev/vsock'), { state: 'ok', facts: { cid: 2 } });
    t.match(named(report, 'sim'), { state: 'ok', facts: { running: true, vms: 1 } });
    t.equal(named(report, '/dev/kvm'), undefined);

    const guest = await host.json<Report>(['doctor', '--in', 'web1']);
    t.match(guest, { backend: 'sim', machine: 'web1', kernel: null, usable: true });
    t.match(named(guest, '/dev/vsock'), { state: 'ok', facts: { cid: 3 } });
    t.match(named(guest, 'AF_VSOCK'), { facts: { stream: 'ok', dgram: 'ENODEV' } });
    t.equal(named(guest, '/dev/vmmctl'), undefined);
    t.equal((await host.run(['doctor', '--in', 'web2'])).status, 3);
  });

  await t.test('a user without rights is told whose a node is', async (t) => {
    const isRoot = process.getuid?.() === 0;
    if (isRoot && !requireTool(t, 'setpriv')) return;
    const command = [process.execPath, resolve('bin/vmmctl.cjs'), 'doctor', '--json'];
    const become = ['setpriv', '--reuid', NOBODY, '--regid', NOBODY, '--clear-groups', 'env', '-i'];
    const [file = '', ...args] = isRoot ? [...become, ...command] : command;
    const { stdout, stderr } = await host.program(file, args).ended;
    t.equal(stderr, '');
    const { checks } = JSON.parse(stdout.toString()) as Report;
    const denied = checks.filter(({ name }) => (isRoot ? isClosedNode(name) : isClosedToUs(name)));
    for (const { name, state, code, owner, hint } of denied) {
      t.match({ state, code }, { state: 'denied', code: 'EACCES' }, name);
      t.match(owner, { mode: /^0[0-7]{3}$/, uid: Number }, name);
      t.match(hint, /^as root: (usermod -aG|chown)/, name);
    }
    t.comment(`${denied.length} nodes are closed here`);
  });
});

/** A node that only its owner and a group may open. */
function isClosedNode(path: string): boolean {
  if (!path.startsWith('/dev/')) return false;
  try {
    return (statSync(path).mode & 0o007) === 0;
  } catch {
    return false;
  }
}

/** A node that is there, and that this process may not read. */
function isClosedToUs(path: string): boolean {
  if (!path.startsWith('/dev/') || !existsSync(path)) return false;
  try {
    accessSync(path, constants.R_OK);
    return false;
  } catch {
    return true;
  }
}
