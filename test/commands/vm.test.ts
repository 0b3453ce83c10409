import t from 'tap';
import { FakeBackend, record } from '../cli/helpers/fake-backend.js';
import { runLine, WAYS } from '../cli/helpers/io.js';
import { Kernel } from '../helpers/kernel.js';

const line = (text: string) => text.split(' ').filter(Boolean);

for (const way of WAYS) {
  t.test(`create prints the name and makes what was asked for (${way})`, async (t) => {
    const argv = line('create web1 --cpus 2 --memory 1G --cid 42 --label tier=web --label a=b');
    const ran = await runLine(argv, { way });
    t.match(ran, { status: 0, out: 'web1\n', err: '' });
    t.match(ran.backend.vms.get('web1'), { cpus: 2, memory: 2 ** 30, cid: 42 });
    t.same(ran.backend.vms.get('web1')?.labels, { tier: 'web', a: 'b' });
    t.ok(ran.backend.closed);
  });

  t.test(`create --json prints the VM (${way})`, async (t) => {
    const ran = await runLine(line('create web1 --json'), { way });
    t.match(JSON.parse(ran.out), { name: 'web1', state: 'created', cid: 3, memory: 512 * 2 ** 20 });
  });

  t.test(`wrong values are found before anything is sent (${way})`, async (t) => {
    const lines = [
      'create',
      'create 12',
      'create host',
      'create a:b',
      'create web1 x',
      'create web1 --cpus 0',
      'create web1 --cpus x',
      'create web1 --memory 1',
      'create web1 --memory 0',
      'create web1 --memory 4097',
      'create web1 --cid 2',
      'create web1 --cid 4294967295',
      'create web1 --cid x',
      'create web1 --label x',
      'create web1 --foo',
      'create web1 --cid',
      'create web1 --cid 3 --cid 4',
      'create web1 --json=true',
      'create web1 -- true',
      'create web1 --timeout 5',
      'create web1 --as root',
      'create web1 --in web2',
      'destroy',
      'destroy a --all',
      'list x',
      'list --format {{.nam}}',
      'list --columns name,foo',
      'list --sort foo',
      'inspect',
      'completion tcsh',
      'sim status -b device',
      'lst',
    ];
    for (const text of lines) {
      const ran = await runLine(line(text), { way });
      t.match(ran, { status: 2, out: '', err: /^vmmctl: .*\(EINVAL\)\n(hint: .*\n)?$/ }, text);
      t.same(
        ran.backend.calls.filter((call) => call !== 'connect'),
        [],
        text,
      );
    }
  });

  t.test(`an error is a document with --json, and stdout stays empty (${way})`, async (t) => {
    const backend = new FakeBackend().add('web1');
    const ran = await runLine(line('create web1 --json'), { way, backend });
    t.match(ran, { status: 4, out: '' });
    t.match(JSON.parse(ran.err), {
      error: { code: 'EEXIST', message: "there is already a VM 'web1'" },
    });
    const usage = await runLine(line('create --json'), { way });
    t.match(JSON.parse(usage.err), { error: { code: 'EINVAL', message: 'NAME is missing' } });
  });

  t.test(`destroy reports unknown names and destroys the others (${way})`, async (t) => {
    const backend = new FakeBackend().add('a').add('bb1').add('c');
    const ran = await runLine(line('destroy a bb2 c'), { way, backend });
    t.equal(ran.status, 3);
    t.equal(ran.out, '');
    t.match(
      ran.err,
      /^vmmctl: destroy: no VM 'bb2' \(ENOENT, from EINVAL\)\nhint: did you mean 'bb1'\?\n$/,
    );
    t.same([...backend.vms.keys()], ['bb1']);
    t.equal((await runLine(line('destroy --all'), { way, backend })).status, 0);
    t.equal(backend.vms.size, 0);
  });

  t.test(`list shows the VMs (${way})`, async (t) => {
    const backend = new FakeBackend()
      .add('b', { labels: { tier: 'web' } })
      .add('a', { memory: null });
    const show = async (text: string) => (await runLine(line(text), { way, backend })).out;
    t.equal(
      await show('list'),
      [
        'NAME  STATE    REASON  CPUS  MEMORY  CID  LIFETIME    AGE',
        'a     created  -          1       -    4  persistent   5s',
        'b     created  -          1    512M    3  persistent   5s',
        '',
      ].join('\n'),
    );
    t.equal(await show('list -q'), 'a\nb\n');
    t.equal(await show('list --no-header --columns name,cid --sort cid'), 'b  3\na  4\n');
    t.equal(await show('list --format {{.name}}:{{.labels.tier}}'), 'a:\nb:web\n');
    t.equal(await show('list --label tier=web -q'), 'b\n');
    t.equal(await show('list --label tier -q'), 'b\n');
    t.equal(await show('list --label tier=db -q'), '');
    const json = JSON.parse(await show('list --json'));
    t.same(json, [
      { ...record('a'), cid: 4, memory: null },
      { ...record('b'), cid: 3, labels: { tier: 'web' } },
    ]);
    t.same(Object.keys(json[0]), Object.keys(record('a')));
  });
}

t.test('an empty list is a heading, and nothing with -q', async (t) => {
  t.match((await runLine(['list'])).out, /^NAME {2}STATE/);
  t.equal((await runLine(['list', '-q'])).out, '');
  t.equal((await runLine(['list', '--json'])).out, '[]\n');
  t.match((await runLine(['list'], { tty: true })).err, 'no VMs');
  t.equal((await runLine(['list'])).err, '');
});

t.test('list --watch tells changes', async (t) => {
  const backend = new FakeBackend();
  const [a, b] = [record('a'), record('b')];
  backend.lists = [[a], [a, b], [a, b], [{ ...a, state: 'running' }, b], [b]];
  const plain = await runLine(line('list --watch --columns name,state'), { backend });
  t.equal(
    plain.out,
    'added  a  created\nadded  b  created\nchanged  a  running\nremoved  a  running\n',
  );
  const json = await runLine(line('list --watch --json'), { backend });
  const documents = json.out
    .trimEnd()
    .split('\n')
    .map((text) => JSON.parse(text));
  t.same(
    documents.map((vms) => vms.map((vm: { name: string }) => vm.name).join()),
    ['a', 'a,b', 'a,b', 'b'],
  );
  const live = await runLine(line('list --watch'), { backend, tty: true });
  t.ok(live.out.startsWith('\u001b[?25l'));
  t.ok(live.out.endsWith('\u001b[?25h'), 'the cursor is there again');
  const format = await runLine(line('list --watch --format {{.name}}'), { backend });
  t.equal(format.out, 'a\nb\na\n');
});

t.test('inspect is JSON in a pipe and a page on a terminal', async (t) => {
  const backend = new FakeBackend().add('web1', { labels: { tier: 'web' } });
  const piped = await runLine(line('inspect web1'), { backend });
  t.match(JSON.parse(piped.out), [{ name: 'web1', counters: { packets: 7 } }]);
  const page = await runLine(line('inspect web1'), { backend, tty: true });
  t.match(page.out, /^web1\n {2}state +created\n/);
  t.match(page.out, '/run/web1.vsock');
  const missing = await runLine(line('inspect web2 web1 --json'), { backend });
  t.match(missing, { status: 3, out: '' });
  t.match(JSON.parse(missing.err), { error: { code: 'ENOENT', hint: "did you mean 'web1'?" } });
});

t.test('host-version says who the host is', async (t) => {
  t.match((await runLine(['host-version'])).out, /^product +vmmctl simulated host$/m);
  t.equal((await runLine(['host-version', '-q'])).out, '0.1.0\n');
  t.match(JSON.parse((await runLine(['host-version', '--json'])).out), {
    features: ['vsock', 'seqpacket'],
    nodes: [{ path: '/dev/vmmctl', version: null }],
  });
});

t.test('what a backend lacks is status 7', async (t) => {
  const kernel = new Kernel().add('web1');
  const connect = async () => kernel;
  for (const text of ['list --watch', 'create x --cid 5', 'create x --label a=b']) {
    t.match(await runLine(line(text), { connect }), { status: 7, out: '' }, text);
  }
  t.match((await runLine(line('list -q'), { connect })).out, 'web1\n');
});

t.test('a page about a VM of a host without management', async (t) => {
  const kernel = new Kernel();
  const connect = async () => kernel;
  t.match(await runLine(line('create web1 --memory 4G -v'), { connect }), {
    out: 'web1\n',
    err: 'created web1\n',
  });
  const page = await runLine(line('inspect web1'), { connect, tty: true });
  t.match(page.out, /^web1\n {2}state +-\n {2}cpus +1\n {2}memory +4G\n {2}cid +-\n/);
  t.match(
    page.out,
    /^ {2}memory map:\n {4}0x0 +3G {2}rwx {2}system\n {4}0x100000000 {2}1G {2}rwx/m,
  );
});

t.test('a VM that only we end is said to be one, and why it is still there', async (t) => {
  const kernel = new Kernel({ release: '15.0' });
  const connect = async () => kernel;
  const ran = await runLine(line('create x --ephemeral -- true'), { connect });
  t.match(ran, { status: 0, err: /^this kernel has no destroy-on-close: .*\n$/ });
  t.match(await runLine(line('create x --ephemeral -q -- true'), { connect }), { err: '' });
  kernel.failing('VMMCTL_VM_DESTROY', 'EPERM');
  const left = await runLine(line('create x --ephemeral -- true'), { connect });
  t.match(left, { status: 0, err: /^.*\nVM 'x' could not be destroyed, and is still there\n$/ });
});

t.test('--timeout bounds a command that gets no answer', async (t) => {
  const backend = new FakeBackend();
  backend.hang = true;
  const ran = await runLine(line('list --timeout 20ms'), { backend });
  t.match(ran, { status: 6, out: '', err: 'vmmctl: list: not done within 20ms (ETIMEDOUT)\n' });
  t.ok(backend.closed);
});

t.test('--as and --jail go to the backend, DEBUG asks for a trace', async (t) => {
  const ran = await runLine(line('list --as 1000:5 --jail j1'), { env: { DEBUG: 'vmmctl:*' } });
  t.same(ran.backend.connectOptions.caller, { uid: 1000, gid: 5, jail: 'j1' });
  t.type(ran.backend.connectOptions.trace, 'function');
  t.equal((await runLine(['list'])).backend.connectOptions.trace, undefined);
});

t.test('a mistake of ours is one line, and its stack only on demand', async (t) => {
  const connect = async () => {
    throw new TypeError('oops');
  };
  t.match(await runLine(['list'], { connect }), {
    status: 1,
    out: '',
    err: 'vmmctl: list: oops\n',
  });
  const traced = await runLine(['list'], { connect, env: { DEBUG: 'vmmctl:*' } });
  t.match(traced.err, /^vmmctl: list: oops\nTypeError: oops\n {4}at /);
});
