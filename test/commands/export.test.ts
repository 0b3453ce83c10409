import t from 'tap';
import { FakeBackend } from '../cli/helpers/fake-backend.js';
import { runLine, WAYS } from '../cli/helpers/io.js';

const line = (text: string) => text.split(' ').filter(Boolean);

for (const way of WAYS) {
  t.test(`sim export prints paths, one a line (${way})`, async (t) => {
    const backend = new FakeBackend().add('web1');
    const run = (text: string) => runLine(line(`sim export ${text}`), { way, backend });
    t.match(await run('web1 --vhost-user vsock'), {
      status: 0,
      out: '/run/web1.vhost-user-vsock\n',
      err: '',
    });
    t.equal(
      (await run('web1 --unix --cuse --vhost-user balloon --vhost-user vsock')).out,
      ['vhost-user-balloon', 'vhost-user-vsock', 'cuse', 'hybrid-vsock']
        .map((kind) => `/run/web1.${kind}\n`)
        .join(''),
    );
    t.same(JSON.parse((await run('web1 --cuse --json')).out), {
      vm: 'web1',
      exports: [{ kind: 'cuse', paths: ['/run/web1.cuse'] }],
    });
    t.match(await run('web1 --cuse --off'), { status: 0, out: '', err: '' });
    t.same([...(backend.devices.exports.get('web1') ?? [])].sort(), [
      'hybrid-vsock',
      'vhost-user-balloon',
      'vhost-user-vsock',
    ]);
    t.equal((await run('--host --cuse')).out, '/run/host.cuse\n');
    t.same(JSON.parse((await run('--host --cuse --off --json')).out), {
      vm: null,
      exports: [{ kind: 'cuse', paths: [] }],
    });
    t.match(await run('web2 --unix'), { status: 3, err: /no VM 'web2'.*\nhint: .*'web1'/ });
  });

  t.test(`wrong usage of an export is found before anything is sent (${way})`, async (t) => {
    const backend = new FakeBackend().add('web1');
    for (const text of [
      '',
      'web1',
      '--cuse',
      'web1 --host --cuse',
      '--host --vhost-user vsock',
      '--host --unix',
      'web1 --vhost-user disk',
      'web1 --vhost-user',
      'web1 --unix --off',
      'web1 web2 --cuse',
      'web1 --cuse -b device',
    ]) {
      const { status, out } = await runLine(line(`sim export ${text}`), { way, backend });
      t.equal(status, 2, text);
      t.equal(out, '', text);
    }
    t.equal(backend.devices.exports.size, 0);
  });
}
