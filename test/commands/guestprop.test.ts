import t from 'tap';
import { FakeBackend } from '../cli/helpers/fake-backend.js';
import { runLine, WAYS } from '../cli/helpers/io.js';
import { recordedBackend } from '../cli/helpers/recorded-backend.js';

const line = (text: string) => text.split(' ').filter(Boolean);
const TIMESTAMP = '1767323045000000001';
const ROLE = { name: '/config/role', value: 'primary', timestamp: TIMESTAMP, flags: [] };
const EVIL = {
  name: '/evil',
  value: 'a\u001b[2J\nb',
  timestamp: '99999999999999999999',
  flags: ['TRANSIENT', 'RDONLYGUEST'],
};

function withProperties(): FakeBackend {
  const backend = new FakeBackend().add('web1');
  backend.devices.properties.set('web1', [EVIL, ROLE]);
  return backend;
}

for (const way of WAYS) {
  t.test(`get prints the value alone (${way})`, async (t) => {
    const backend = withProperties();
    const run = (text: string, tty = false) => runLine(line(text), { way, backend, tty });
    const plain = await run('guestprop get --vm web1 /config/role');
    t.match(plain, { status: 0, out: 'primary\n', err: '' });
    const verbose = await run('guestprop get --vm web1 /evil -v');
    t.match(verbose, {
      out: 'a\u001b[2J\nb\n',
      err: 'set -, flags TRANSIENT,RDONLYGUEST\n',
    });
    t.match(await run('guestprop get --vm web1 /config/role -v'), {
      err: 'set 2026-01-02T03:04:05.000Z, flags -\n',
    });
    t.equal((await run('guestprop get --vm web1 /evil', true)).out, 'a\\x1b[2J\\nb\n');
    t.same(JSON.parse((await run('guestprop get --vm web1 /evil --json')).out), EVIL);
    const missing = await run('guestprop get --vm web1 /nothing');
    t.match(missing, { status: 3, out: '', err: /no property '\/nothing' \(ENOENT\)/ });
    const nobody = await run('guestprop get --vm web2 /nothing');
    t.match(nobody, { status: 3, err: /no VM 'web2'.*did you mean 'web1'\?/s });
  });

  t.test(`set and unset change a property (${way})`, async (t) => {
    const backend = withProperties();
    const run = (text: string) => runLine(line(text), { way, backend });
    const set = await run('guestprop set --vm web1 /x 5 --flags transient,ReadOnly');
    t.match(set, { status: 0, out: '', err: '' });
    const json = await run('guestprop set --vm web1 /y 6 --json');
    t.match(JSON.parse(json.out), { name: '/y', value: '6' });
    t.match(backend.devices.properties.get('web1')?.slice(2), [
      { name: '/x', value: '5', flags: ['TRANSIENT', ' READONLY'] },
      { name: '/y', value: '6' },
    ]);
    t.match(await run('guestprop set --vm web1 /y -- -7'), { status: 0 });
    t.equal(backend.devices.properties.get('web1')?.at(-1)?.value, '-7');
    t.match(await run('guestprop unset --vm web1 /x'), { status: 0, out: '', err: '' });
    const unset = await run('guestprop unset --vm web1 /y --json');
    t.equal(unset.out, '{"name":"/y","deleted":true}\n');
    t.same(backend.devices.properties.get('web1'), [EVIL, ROLE]);
    backend.failing('setGuestProperty', 'EACCES');
    t.match(await run('guestprop set --vm web1 /x 5'), { status: 5, err: /\(EACCES\)/ });
  });

  t.test(`list is a sorted table (${way})`, async (t) => {
    const backend = withProperties();
    const run = (text: string) => runLine(line(text), { way, backend });
    t.equal(
      (await run('guestprop list --vm web1')).out,
      [
        'NAME          VALUE        TIMESTAMP                 FLAGS',
        '/config/role  primary      2026-01-02T03:04:05.000Z  -',
        '/evil         a\\x1b[2J\\nb  -                         TRANSIENT,RDONLYGUEST',
        '',
      ].join('\n'),
    );
    const terminal = await runLine(line('guestprop list --vm web1'), { way, backend, tty: true });
    t.match(terminal.out, /\/config\/role +primary +0s ago +-\n/);
    t.equal((await run('guestprop list --vm web1 -q')).out, '/config/role\n/evil\n');
    t.match((await run('guestprop list --vm web1 --no-header')).out, /^\/config/);
    t.same(JSON.parse((await run('guestprop list * --vm web1 --json')).out), [ROLE, EVIL]);
  });

  t.test(`wait prints each change (${way})`, async (t) => {
    const backend = withProperties();
    const changes = [
      { ...ROLE, deleted: false },
      { ...EVIL, deleted: false },
      { ...ROLE, value: '', deleted: true },
    ];
    const run = async (text: string) => {
      backend.devices.propertyChanges = [...changes];
      return (await runLine(line(text), { way, backend })).out;
    };
    t.equal(await run('guestprop wait --vm web1 *'), 'set  /config/role  primary\n');
    t.equal(
      await run('guestprop wait --vm web1 * --count 3'),
      'set  /config/role  primary\nset  /evil  a\\x1b[2J\\nb\ndeleted  /config/role\n',
    );
    t.equal(await run('guestprop wait --vm web1 * -c 2 -q'), '/config/role\n/evil\n');
    const documents = (await run('guestprop wait --vm web1 * -c 3 --json')).trimEnd().split('\n');
    t.same(
      documents.map((text) => JSON.parse(text)),
      changes,
    );
  });

  t.test(`wrong usage of guestprop is found before anything is sent (${way})`, async (t) => {
    const wrong: [string, RegExp][] = [
      ['guestprop get /x', /no VM is named.*--vm VM for the host's side, or with --in VM/s],
      ['guestprop get --vm web1 --in web1 /x', /two sides of one thing/],
      ['guestprop get --vm web1', /PROPERTY is missing/],
      ['guestprop get --vm web1 /x*', /PROPERTY: '\/x\*' has a \* or \? or \| in it/],
      [`guestprop get --vm web1 /${'x'.repeat(63)}`, /longer than 63 bytes/],
      ['guestprop set --vm web1 /x', /VALUE is missing/],
      ['guestprop set --vm web1 /x 1 --flags transiet', /--flags: .*did you mean 'TRANSIENT'\?/s],
      ['guestprop wait --vm web1', /PATTERN is missing/],
      ['guestprop wait --vm web1 x --count 0', /--count: '0' is not a whole number/],
      ['guestprop list --vm 12', /--vm: /],
    ];
    for (const [text, err] of wrong) {
      const ran = await runLine(line(text), { way });
      t.match(ran, { status: 2, out: '', err }, text);
      t.same(ran.backend.calls, [], text);
    }
  });
}

t.test('--vm goes before VMMCTL_IN, as any flag before the environment', async (t) => {
  const env = { VMMCTL_IN: 'web1' };
  const ran = await runLine(line('guestprop get --vm web1 /config/role'), {
    backend: withProperties(),
    env,
  });
  t.match(ran, { status: 0, out: 'primary\n' });
});

t.test('where nobody manages VMs there is no side of the host', async (t) => {
  const { connect } = recordedBackend([]);
  const ran = await runLine(line('guestprop list --vm web1 --backend device'), { connect });
  t.match(ran, { status: 7, err: /does not show the properties of its VMs \(EOPNOTSUPP\)/ });
});

t.test("--in and --backend device are a guest's side", async (t) => {
  for (const way of ['--in web1', '--backend device', '--backend device --in host']) {
    const { connect } = recordedBackend([], '/dev/none');
    const ran = await runLine(line(`guestprop list ${way}`), { connect });
    t.match(ran, { status: 7, err: /no device of VirtualBox's/ }, way);
  }
});

t.test('wait ends with 6 when nothing changes in time', async (t) => {
  const backend = withProperties();
  backend.devices.propertyChanges = [];
  const { management } = backend;
  management.nextGuestProperty = () => new Promise(() => {});
  const ran = await runLine(line('guestprop wait --vm web1 x --timeout 20ms'), { backend });
  t.match(ran, { status: 6, out: '', err: /\(ETIMEDOUT\)/ });
});
