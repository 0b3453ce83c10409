/** Commands on a host without management, whose kernel is the simulated one of several ages. */
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { type RunOptions, simulatedHost } from '../helpers/host.js';

const VMMCTL = fileURLToPath(new URL('./fixtures/no-management.js', import.meta.url));
const PROFILES = ['landed', 'freebsd-15.0', 'freebsd-14', 'draft'] as const;
/** Each has to end a VM that only we end. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Kernels that end an ephemeral VM whatever becomes of us. */
const DESTROY_ON_CLOSE: readonly string[] = ['landed'];

async function deviceHost(t: Test, profile: string) {
  const host = await simulatedHost(t);
  const { status, stderr } = await host.run(['sim', 'start', '--vmmctl-profile', profile]);
  t.equal(status, 0, stderr);
  const start = (args: readonly string[], options?: RunOptions) =>
    host.program(process.execPath, [VMMCTL, ...args], options);
  return { host, start, run: (args: readonly string[]) => start(args).ended };
}

for (const profile of PROFILES) {
  t.test(`${profile}: create, list, inspect, destroy`, async (t) => {
    const { host, run } = await deviceHost(t, profile);
    t.match(await run(['list', '--json']), { status: 0, stdout: Buffer.from('[]\n') });
    const created = await run(['create', 'web/1', '--cpus', '2', '--memory', '4G', '--json']);
    t.match(created, { status: 0, stderr: '' });
    t.match(JSON.parse(created.stdout.toString()), {
      name: 'web/1',
      state: 'created',
      memory: 2 ** 32,
      cid: null,
    });
    t.match(await run(['create', 'web/1']), { status: 4, stderr: /\(EEXIST\)/ });
    const listed = await run(['list']);
    t.match(listed.stdout.toString(), /^web\/1 +- +- +2 +4G +- +- +-$/m);
    const inspected = await run(['inspect', 'web/1']);
    t.match(JSON.parse(inspected.stdout.toString()), [
      { state: null, memoryMap: [{ address: 0 }, { address: 2 ** 32, size: 2 ** 30 }] },
    ]);
    t.match(await host.json(['list']), [{ name: 'web/1', cpus: 2, lifetime: 'persistent' }]);
    t.match(await run(['destroy', 'nobody', 'web/1']), {
      status: 3,
      stderr: /no VM 'nobody' \(ENOENT, from EINVAL\)/,
    });
    t.match(await run(['inspect', 'web/1']), { status: 3, stderr: /no VM 'web\/1' \(ENOENT\)/ });
    t.same(await host.json(['list']), []);
  });

  t.test(`${profile}: an ephemeral VM and its program`, async (t) => {
    const { host, run, start } = await deviceHost(t, profile);
    const script = 'echo $VMMCTL_VM $VMMCTL_CID none; exit 42';
    const ended = await run(['create', 'brief', '--ephemeral', '--', 'sh', '-c', script]);
    t.match(ended, { status: 42, stdout: Buffer.from('brief none\n') });
    t.same(await host.json(['list']), []);

    const signals = profile === 'freebsd-15.0' ? SIGNALS : (['SIGTERM'] as const);
    for (const signal of signals) {
      const held = start(['create', 'brief', '--ephemeral'], { openStdin: true });
      await held.waitForOutput('brief\n');
      held.kill(signal);
      t.equal((await held.ended).signal, signal);
      t.same(await host.json(['list']), [], `it ends with ${signal}`);
    }
  });
}

t.test('what the kernel does not end is said, and stays when we are killed', async (t) => {
  for (const profile of PROFILES) {
    const { host, start } = await deviceHost(t, profile);
    const held = start(['create', 'brief', '--ephemeral'], { openStdin: true });
    await held.waitForOutput('brief\n');
    held.kill('SIGKILL');
    const { stderr } = await held.ended;
    const ends = DESTROY_ON_CLOSE.includes(profile);
    const noted = profile.startsWith('freebsd');
    t.match(stderr, noted ? /^this kernel has no destroy-on-close: / : /^$/, profile);
    await host.until(['list', '--quiet'], ({ stdout }) => {
      return stdout.toString() === (ends ? '' : 'brief\n');
    });
  }
});

t.test('users, jails, and what is not there', async (t) => {
  const { run } = await deviceHost(t, 'landed');
  t.match(await run(['create', 'web1', '--as', '1000']), { status: 5, stderr: /\(EACCES\)\n/ });
  t.match(await run(['create', 'web1', '--as', '1000:978']), {
    status: 5,
    stderr: /\(EPERM\)\nhint: create it with --ephemeral\n/,
  });
  t.equal((await run(['create', 'inside', '--jail', 'j'])).status, 0);
  t.equal((await run(['create', 'outside'])).status, 0);
  const names = async (...flags: string[]) => String((await run(['list', '-q', ...flags])).stdout);
  t.equal(await names(), 'inside\noutside\n');
  t.equal(await names('--jail', 'j'), 'inside\n');
  const unknown = await run(['list', '--as', '1000', '--no-header']);
  t.match(unknown.stdout.toString(), /^inside +- +- +- +- +- +- +-\noutside/);
  t.match(await run(['inspect', 'outside', '--as', '1000']), { status: 5, stderr: /\(EACCES\)/ });
  for (const flags of [
    ['--cid', '5'],
    ['--label', 'a=b'],
    ['--vsock-transport', 'virtio'],
  ]) {
    const { status, stderr } = await run(['create', 'x', ...flags]);
    t.equal(status, 7, flags.join(' '));
    t.match(
      stderr,
      /^vmmctl: create: the backend 'device' has no .*\(EOPNOTSUPP\)\nhint: leave --/,
    );
  }
  t.match(await run(['destroy', 'outsid']), { status: 3, stderr: /did you mean 'outside'\?/ });
  t.equal((await run(['destroy', '--all'])).status, 0);
  t.equal(await names(), '');
});
