/** `vmmctl boot` with stand-ins for kernels: programs that look for what a kernel would find. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type ErrorCode, SystemError } from '../../src/core/abi/errno.js';
import { FakeBackend } from '../cli/helpers/fake-backend.js';
import { runLine, WAYS } from '../cli/helpers/io.js';
import { isAlive, until } from '../helpers/host.js';

/** Finds the directory that it shares with us, and does what the variable says. */
const KERNEL = `#!/bin/sh
for word in "$@"; do case $word in init=*) share=$(dirname "\${word#init=}") ;; esac; done
[ -x "$share/init" ] && [ -x "$share/command" ] && [ -f "$share/fstab" ] || exit 99
eval "$KERNEL_DOES"
`;

interface Setting {
  backend: FakeBackend;
  env: Record<string, string>;
  runtime: string;
}

/** A machine with user-mode Linux and QEMU, and a VM whose sockets are in a directory of the test. */
function setting(
  t: Test,
  kernelDoes = '',
  programs = ['linux.uml', 'qemu-system-x86_64'],
): Setting {
  const directory = t.testdir({ bin: {}, run: {} });
  for (const name of programs) {
    writeFileSync(join(directory, 'bin', name), KERNEL, { mode: 0o755 });
  }
  const backend = new FakeBackend().add('web1');
  const { management } = backend;
  management.devicePath = async (name, kind) =>
    join(directory, 'run', `${name}.${kind.replace('-user', '')}`);
  // Nothing else of the machine is found, so what is done does not depend on it.
  const path = `${join(directory, 'bin')}:${join(directory, 'tools')}`;
  mkdirSync(join(directory, 'tools'));
  for (const tool of ['sh', 'dirname', 'cat', 'kill', 'rm', 'sleep', 'env']) {
    writeFileSync(
      join(directory, 'tools', tool),
      `#!/bin/sh\nPATH=${process.env.PATH} exec ${tool} "$@"\n`,
      { mode: 0o755 },
    );
  }
  return {
    backend,
    env: { PATH: path, KERNEL_DOES: kernelDoes, HOME: directory },
    runtime: join(directory, 'run'),
  };
}

const boot = (words: string, { backend, env }: Setting, options = {}) =>
  runLine(['boot', ...words.split(' ')], { backend, env, ...options });

for (const way of WAYS) {
  t.test(`--dry-run prints the command line, and does nothing (${way})`, async (t) => {
    const place = setting(t);
    const ran = await boot('web1 --dry-run', place, { way });
    t.match(ran, { status: 0, err: '' });
    t.match(ran.out, /^TMPDIR=\S+ \S+\/linux\.uml mem=536870912 root=\/dev\/root .*\n$/);
    t.match(ran.out, `virtio_uml.device=${place.runtime}/web1.vhost-vsock:19 `);
    t.match(ran.out, ` init=${place.runtime}/boot-XXXXXX/share/init `);
    t.same(readdirSync(place.runtime), []);
    t.same(place.backend.calls, ['connect']);

    const json = JSON.parse((await boot('web1 --dry-run --json --memory 1G', place, { way })).out);
    t.match(json, { env: { TMPDIR: String }, program: /linux\.uml$/ });
    t.equal(json.args[0], 'mem=1073741824');
  });

  t.test(`wrong usage is found before anything is done (${way})`, async (t) => {
    const place = setting(t);
    for (const words of [
      'web1 --uml --qemu',
      'web1 --initrd x',
      'web1 --accel kvm',
      'web1 --qemu --accel xen',
      'web1 --memory 5',
      'web1 --memory 32M --init true',
      'web1',
      'web1 web2',
      'a:b',
      'web1 --in web1',
    ]) {
      const ran = await boot(words, place, { way });
      t.match(ran, { status: 2, out: '', err: /^vmmctl: boot: .*\(EINVAL\)\n/ }, words);
    }
    t.same(readdirSync(place.runtime), []);
    t.same(
      place.backend.calls.filter((call) => call !== 'connect'),
      [],
    );
  });
}

t.test("the status of the guest's command is ours", async (t) => {
  const place = setting(t, ': >"$share/ended-7"');
  const { status, err } = await boot('web1 --init true', place);
  t.equal(status, 7);
  t.equal(err, '');
  t.same(place.backend.calls.slice(1), ['exportVm', 'exportVm', 'unexportVm', 'unexportVm']);
  t.same([...place.backend.devices.held], [], 'no device is left');
  t.same(readdirSync(place.runtime), [], 'nothing is left');
});

t.test('a kernel that ends too early is an error', async (t) => {
  for (const [does, how] of [
    ['exit 3', 'with status 3'],
    ['kill -9 $$', 'by SIGKILL'],
  ] as const) {
    const place = setting(t, does);
    const { status, err } = await boot('web1 --init true', place);
    t.equal(status, 1);
    t.match(
      err,
      `vmmctl: boot: the kernel ended ${how} before the guest's command did (EIO)\nhint: `,
    );
    t.same(readdirSync(place.runtime), []);
  }
});

t.test('a guest ends with what it needs', async (t) => {
  const kernel = 'trap "exit 0" TERM; echo $$ >"$HOME/pid"; while :; do sleep 0.1; done';
  const gone = (code: ErrorCode, message: string) => async () => {
    throw new SystemError(code, { message });
  };
  for (const [suspension, status, said] of [
    [gone('ENOENT', "the VM 'web1' was destroyed"), 3, "the VM 'web1' was destroyed (ENOENT)\n"],
    [gone('ECONNRESET', 'the simulated host is gone'), 6, 'the simulated host is gone (ECONNR'],
    [
      async () => 'poweroff',
      1,
      "web1 was suspended: poweroff (ECANCELED)\nhint: 'vmmctl reset web1' lets it begin anew\n",
    ],
    [async () => 'reset', 1, 'web1 was suspended: reset (ECANCELED)\n'],
  ] as const) {
    const place = setting(t, kernel);
    const pid = join(place.env.HOME ?? '', 'pid');
    place.backend.suspension = async () => {
      await until('the kernel runs', () => existsSync(pid));
      return suspension();
    };
    const ran = await boot('web1 --init true', place);
    t.match(ran, { status, err: `vmmctl: boot: ${said}` });
    t.notOk(isAlive(Number(readFileSync(pid, 'utf8'))), 'no kernel is left');
    t.same([...place.backend.devices.held], []);
    t.same(readdirSync(place.runtime), []);
  }
});

t.test('--timeout ends the guest', async (t) => {
  const place = setting(t, 'exec sleep 100');
  const { status, err } = await boot('web1 --init true --timeout 300ms', place);
  t.equal(status, 6);
  t.match(err, /not done within 300ms \(ETIMEDOUT\)/);
  t.same(readdirSync(place.runtime), []);
});

t.test('QEMU gets its kernel, and no balloon', async (t) => {
  const place = setting(t, ': >"$share/ended-0"');
  const ran = await boot('web1 --qemu --accel tcg --kernel /etc/passwd --dry-run', place);
  t.match(ran.out, /^qemu-system-x86_64 -accel tcg .* -kernel \/etc\/passwd .*\n$/);
  t.match(ran.out, `path=${place.runtime}/web1.vhost-vsock `);
  const refused = await boot('web1 --qemu --kernel /none --init true', place);
  t.match(refused, { status: 3, err: /\/none is not there, or can't be read \(ENOENT\)/ });
});

t.test('what can not be booted says why', async (t) => {
  t.match(await boot('web1 --init true', setting(t, '', [])), {
    status: 7,
    err: /neither user-mode Linux nor QEMU is installed \(EOPNOTSUPP\)\nhint: .*user-mode-linux\n/,
  });
  const place = setting(t);
  t.match(await boot('web2 --init true', place), {
    status: 3,
    err: /no VM 'web2' \(ENOENT\)\nhint: did you mean 'web1'\?\n$/,
  });
  place.backend.add('web1', { state: 'running' });
  t.match(await boot('web1 --init true', place), {
    status: 4,
    err: /web1 runs a guest already \(EBUSY\)/,
  });
  for (const [reason, hint] of [
    ['poweroff', "'vmmctl reset web1' lets it begin anew"],
    ['paused', "'vmmctl resume web1' lets it run"],
  ] as const) {
    place.backend.add('web1', { state: 'suspended', reason });
    t.match(await boot('web1 --init true', place), {
      status: 4,
      err: `web1 is suspended: ${reason} (EBUSY)\nhint: ${hint}\n`,
    });
  }
  place.backend.add('web1').failing('exportVm', 'EADDRINUSE');
  t.equal((await boot('web1 --init true', place)).status, 4);
  t.same(readdirSync(place.runtime), []);
});
