import t from 'tap';
import { painter } from '../../src/cli/paint.js';
import { type Check, checkOf, doctorPage } from '../../src/commands/doctor-view.js';
import type { Examined } from '../../src/core/client/examine.js';
import { FakeBackend } from '../cli/helpers/fake-backend.js';
import { runLine, WAYS } from '../cli/helpers/io.js';

const line = (text: string) => text.split(' ').filter(Boolean);

/** A guest of KVM that may not open /dev/kvm, with vsock and a node that isn't what it should be. */
const EXAMINED: Examined[] = [
  {
    ...{ system: 'vsock', name: '/dev/vsock', state: 'ok', code: null, message: null },
    ...{ version: null, detail: 'local CID 3', facts: { cid: 3 } },
    ...{ owner: { mode: 0o666, uid: 0, gid: 0, group: 'root' }, hint: null },
  },
  {
    ...{ system: 'vhost', name: '/dev/vhost-vsock', state: 'missing', code: 'ENOENT' },
    ...{ message: 'no such file or directory', version: null, detail: null, facts: {} },
    ...{ owner: null, hint: 'as root: modprobe vhost_vsock' },
  },
  {
    ...{ system: 'kvm', name: '/dev/kvm', state: 'denied', code: 'EACCES' },
    ...{ message: 'permission denied', version: null, detail: null, facts: {} },
    ...{ owner: { mode: 0o660, uid: 0, gid: 108, group: 'kvm' } },
    hint: 'as root: usermod -aG kvm ann, and log in again',
  },
  {
    ...{ system: 'bhyve', name: '/dev/vmmctl', state: 'ok', code: null, message: null },
    ...{ version: null, detail: 'creates\u001b[2J VMs', facts: {}, owner: null, hint: null },
  },
  {
    ...{ system: 'vmci', name: '/dev/vmci', state: 'failed', code: null, message: 'oops' },
    ...{ version: null, detail: null, facts: {}, owner: null, hint: null },
  },
];
const COMMANDS = ['host-version', 'create', 'destroy', 'vsock:connect'];
const CHECKS = EXAMINED.map((each) => checkOf(each, COMMANDS));

const PAGE = `vsock
  /dev/vsock        ok       local CID 3
                             for host-version

vhost: the host of virtio guests
  /dev/vhost-vsock  missing  as root: modprobe vhost_vsock

kvm
  /dev/kvm          denied   permission denied (EACCES), mode 0660, user 0, group kvm
                             as root: usermod -aG kvm ann, and log in again

bhyve
  /dev/vmmctl       ok       creates\\x1b[2J VMs
                             for create, destroy

vmci
  /dev/vmci         failed   oops
`;

t.test('the page has a row a check, and what can be done', async (t) => {
  t.equal(doctorPage(CHECKS, await painter(0)), PAGE);
  t.equal(doctorPage([], await painter(0)), '');
  const coloured = doctorPage(CHECKS, await painter(1));
  t.match(coloured, '\u001b[32mok     \u001b[39m');
  t.equal(coloured.replace(/\u001b\[\d+m/g, ''), PAGE);
});

t.test('commands that there are not yet are left out', async (t) => {
  const [vsock] = EXAMINED;
  if (vsock === undefined) throw new Error('no check');
  const needed = (name: string, commands: string[]) =>
    checkOf({ ...vsock, name }, commands).commands;
  t.same(needed('/dev/vboxguest', COMMANDS), []);
  t.same(needed('/dev/vboxguest', ['balloon', 'balloon:set']), ['balloon']);
  t.same(needed('/dev/vmci', ['vmci:id']), ['vmci']);
  t.same(needed('AF_VSOCK', COMMANDS), ['vsock connect']);
  t.same(needed('/dev/kvm', ['create', 'run', 'boot']), ['create', 'run', 'boot']);
});

for (const way of WAYS) {
  t.test(`doctor asks this machine, starts nothing and changes nothing (${way})`, async (t) => {
    const ran = await runLine(line('doctor --json'), { way, backend: new FakeBackend().add('a') });
    t.equal(ran.status, 0, ran.err);
    const { checks, ...about } = JSON.parse(ran.out) as { checks: Check[] };
    t.same(about, { backend: 'device', machine: 'host', kernel: null, usable: true });
    t.match(
      checks.find(({ name }) => name === '/dev/vmmctl'),
      {
        ...{ system: 'bhyve', state: 'ok', code: null, message: null, version: null },
        ...{ detail: 'creates and destroys VMs', facts: {}, owner: null, hint: null },
        commands: ['create', 'destroy'],
      },
    );
    t.match(
      checks.find(({ name }) => name === 'AF_VSOCK'),
      { state: 'silent', code: 'EOPNOTSUPP', message: 'operation not supported' },
    );
    t.match(
      checks.filter(({ system }) => system === 'vmmctl').map(({ name }) => name),
      ['node', 'koffi'],
    );
    const changing = ran.backend.calls.filter((call) => !/^(connect|open|close)/.test(call));
    t.same(changing, []);
    t.ok(ran.backend.closed);
  });

  t.test(`--strict is about what is named, or anything (${way})`, async (t) => {
    const status = async (text: string) => (await runLine(line(`doctor ${text}`), { way })).status;
    t.equal(await status('--strict'), 0);
    t.equal(await status('--strict /dev/vmmctl'), 0);
    t.equal(await status('--strict /dev/vmmctl /dev/kvm'), 7);
    t.equal(await status('/dev/kvm'), 0);
    t.equal(await status('--strict kvm'), 7);
    t.equal(await status('/dev/kwm'), 2);
    t.equal(await status('--in'), 2);
  });
}

t.test('a failing --strict says what is not usable, and still prints', async (t) => {
  const ran = await runLine(line('doctor --strict bhyve /dev/kvm'));
  t.match(ran, { status: 7, err: 'vmmctl: doctor: not usable: /dev/kvm, hw.vmm\n' });
  t.match(ran.out, /^ {2}\/dev\/kvm +silent +the node does not know this ioctl \(ENOTTY\)$/m);
  const json = await runLine(line('doctor --strict /dev/kvm --json'));
  t.match(json, { status: 7, err: '' });
  t.match(JSON.parse(json.out), { usable: false, checks: [{ name: '/dev/kvm' }] });
});

t.test('--quiet prints what is usable, one a line', async (t) => {
  const ran = await runLine(line('doctor -q bhyve'));
  t.match(ran, { status: 0, out: /^\/dev\/vmmctl\n/, err: '' });
});

t.test('a wrong name has near ones as its hint', async (t) => {
  const ran = await runLine(line('doctor /dev/kwm'));
  t.match(ran, { status: 2, out: '', err: "hint: did you mean '/dev/kvm'?" });
});

t.test('another machine is asked when it is named', async (t) => {
  const backend = new FakeBackend().add('web1');
  const about = async (text: string, env = {}) => {
    const { out } = await runLine(line(`doctor --json ${text}`), { backend, env });
    const { checks, ...rest } = JSON.parse(out) as { checks: Check[] };
    return { ...rest, missing: checks.filter(({ state }) => state === 'missing').length };
  };
  t.match(await about('-b sim:test'), { backend: 'sim:test', machine: 'host', missing: 0 });
  t.match(await about('--in web1'), { backend: 'sim', machine: 'web1', missing: 0 });
  t.match(await about('', { VMMCTL_IN: 'web1' }), { backend: 'sim', machine: 'web1' });
  t.match(await about('', { VMMCTL_BACKEND: 'sim' }), { backend: 'sim', machine: 'host' });
  t.match(await about('-b sim /dev/vboxguest'), { backend: 'sim' });
  const unknown = await runLine(line('doctor --in web2'), { backend });
  t.match(unknown, { status: 3, out: '', err: /web2/ });
});

t.test('a backend that there is not is no machine without anything', async (t) => {
  const connect = async () => {
    const { SystemError } = await import('../../src/core/abi/errno.js');
    throw new SystemError('EOPNOTSUPP', { message: 'no such backend' });
  };
  const ran = await runLine(line('doctor kvm -b qmp:/x'), { connect });
  t.match(ran, { status: 7, out: '', err: /no such backend \(EOPNOTSUPP\)/ });
});

t.test('where no system call can be made, that is what it says', async (t) => {
  const connect = async (uri: string) => {
    if (uri !== 'device') throw new Error(uri);
    const { SystemError } = await import('../../src/core/abi/errno.js');
    throw new SystemError('EOPNOTSUPP', { message: 'no koffi', hint: 'install it' });
  };
  const ran = await runLine(line('doctor --strict'), { connect });
  t.match(ran, { status: 7, err: 'vmmctl: doctor: not usable: anything of this machine\n' });
  t.match(ran.out, /^ {2}koffi +missing +no koffi \(EOPNOTSUPP\)\n +install it$/m);
  t.match(ran.out, /^ {2}node +ok +v\d/m);
  const named = await runLine(line('doctor --strict /dev/kvm node'), { connect });
  t.match(named, { status: 7, err: 'vmmctl: doctor: not usable: /dev/kvm\n' });
});
