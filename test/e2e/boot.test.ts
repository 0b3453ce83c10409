/** How `vmmctl boot` ends a guest, with a stand-in for the kernel that needs none. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import {
  type Host,
  isAlive,
  killOwn,
  type Running,
  simulatedHost,
  until,
} from '../helpers/host.js';

/** Leaves its process numbers, and a part of it that does not hear of signals; then does what the variable says. */
const KERNEL = `#!/bin/bash
(trap '' TERM; echo $BASHPID >>"$PIDS"; exec sleep 600) &
echo $$ >>"$PIDS"
eval "$KERNEL_DOES"
`;

interface Booted {
  command: Running;
  /** The kernel's processes. */
  pids(): number[];
}

async function boot(t: Test, host: Host, kernelDoes: string): Promise<Booted> {
  const pids = host.path('pids');
  writeFileSync(pids, '');
  mkdirSync(host.path('bin'), { recursive: true });
  writeFileSync(host.path('bin/linux.uml'), KERNEL, { mode: 0o755 });
  const env = { PIDS: pids, KERNEL_DOES: kernelDoes };
  const command = host.start(['boot', 'web1', '--uml', '--init', 'true'], { env });
  const read = () => readFileSync(pids, 'utf8').trim().split('\n').filter(Boolean).map(Number);
  t.teardown(() => {
    for (const pid of read()) killOwn(host, pid);
  });
  await command.waitForOutput('up');
  await until('both parts are there', () => read().length === 2);
  return { command, pids: read };
}

async function nothingLeft(t: Test, host: Host, pids: readonly number[]): Promise<void> {
  await until('no process is left', () => !pids.some(isAlive));
  const files = () => readdirSync(host.runtime).filter((name) => name.startsWith('boot-'));
  await until('no file is left', () => files().length === 0);
  t.pass('nothing is left');
}

t.test('a guest is ended', async (t) => {
  const host = await simulatedHost(t);
  await host.json(['create', 'web1']);

  for (const [signal, status] of [
    ['SIGTERM', 143],
    ['SIGINT', 130],
    ['SIGHUP', 129],
  ] as const) {
    await t.test(`by ${signal}`, async (t) => {
      const { command, pids } = await boot(
        t,
        host,
        'trap "exit 0" TERM; echo up; while :; do sleep 0.1; done',
      );
      command.kill(signal);
      t.equal((await command.ended).status, status);
      await nothingLeft(t, host, pids());
    });
  }
  await t.test('by force, when it does not end', async (t) => {
    const { command, pids } = await boot(
      t,
      host,
      'trap "" TERM; echo up; while :; do sleep 0.1; done',
    );
    command.kill('SIGTERM');
    t.equal((await command.ended).status, 143);
    await nothingLeft(t, host, pids());
  });
  await t.test('by force, when it is told so twice', async (t) => {
    const { command, pids } = await boot(
      t,
      host,
      'trap "echo told" TERM; echo up; while :; do sleep 0.1; done',
    );
    command.kill('SIGTERM');
    await command.waitForOutput('told');
    command.kill('SIGTERM');
    t.equal((await command.ended).status, 143);
    await nothingLeft(t, host, pids());
  });
  await t.test('when the command is killed', async (t) => {
    const { command, pids } = await boot(t, host, 'echo up; while :; do sleep 0.1; done');
    command.kill('SIGKILL');
    t.equal((await command.ended).signal, 'SIGKILL');
    await nothingLeft(t, host, pids());
  });
  await t.test('when the kernel ends, all that it started ends too', async (t) => {
    const { command, pids } = await boot(
      t,
      host,
      'echo up; until [ $(wc -l <"$PIDS") = 2 ]; do :; done; exit 0',
    );
    t.equal((await command.ended).status, 0);
    await nothingLeft(t, host, pids());
  });
  const waits = 'trap "exit 0" TERM; echo up; while :; do sleep 0.1; done';
  const state = async () => (await host.json<{ state: string }[]>(['inspect', 'web1']))[0]?.state;
  await t.test('when its VM is switched off, and none is booted in it then', async (t) => {
    const { command, pids } = await boot(t, host, waits);
    t.match(await host.run(['poweroff', 'web1']), { status: 0 });
    const stderr =
      'vmmctl: boot: web1 was suspended: poweroff (ECANCELED)\n' +
      "hint: 'vmmctl reset web1' lets it begin anew\n";
    t.match(await command.ended, { status: 1, stderr });
    await nothingLeft(t, host, pids());
    t.equal(await state(), 'suspended');
    t.match(await host.run(['boot', 'web1', '--uml', '--init', 'true']), {
      status: 4,
      stderr: /^vmmctl: boot: web1 is suspended: poweroff \(EBUSY\)\nhint: 'vmmctl reset web1' /,
    });
    t.match(await host.run(['reset', 'web1']), { status: 0 });
  });
  await t.test('when its VM is reset', async (t) => {
    const { command, pids } = await boot(t, host, waits);
    t.match(await host.run(['reset', 'web1']), { status: 0 });
    t.match(await command.ended, {
      status: 1,
      stderr: /web1 was suspended: reset \(ECANCELED\)\n$/,
    });
    await nothingLeft(t, host, pids());
    t.equal(await state(), 'created');
  });
  await t.test('when the simulated host ends', async (t) => {
    for (const end of [
      () => host.run(['sim', 'stop']),
      async () => process.kill(await host.daemon(), 'SIGKILL'),
    ]) {
      const { command, pids } = await boot(t, host, waits);
      await end();
      t.match(await command.ended, {
        status: 6,
        stderr: /the simulated host is gone \(ECONNRESET\)/,
      });
      await nothingLeft(t, host, pids());
    }
  });
  await t.test('by a signal, and its VM is destroyed meanwhile', async (t) => {
    const { command, pids } = await boot(
      t,
      host,
      'trap "echo told" TERM; echo up; while :; do sleep 0.1; done',
    );
    command.kill('SIGTERM');
    await command.waitForOutput('told');
    t.match(await host.run(['destroy', 'web1']), { status: 0 });
    t.match(await command.ended, { status: 143, stderr: '' });
    await nothingLeft(t, host, pids());
    await host.json(['create', 'web1']);
  });
  await t.test('when its VM is destroyed', async (t) => {
    const { command, pids } = await boot(t, host, waits);
    t.match(await host.run(['destroy', 'web1']), { status: 0 });
    t.match(await command.ended, { status: 3, stderr: /the VM 'web1' was destroyed \(ENOENT\)/ });
    await nothingLeft(t, host, pids());
  });
});

t.test('a VM has one guest at a time', async (t) => {
  const host = await simulatedHost(t);
  await host.json(['create', 'web1']);
  const first = await boot(t, host, 'trap "exit 0" TERM; echo up; while :; do sleep 0.1; done');
  const again = ['boot', 'web1', '--uml', '--init', 'true'];
  t.match(await host.run(again), {
    status: 4,
    stderr:
      "vmmctl: boot: 'web1' has a guest already, or is about to have one (EBUSY)\n" +
      'hint: end that one first\n',
  });
  first.command.kill('SIGTERM');
  t.match(await first.command.ended, { status: 143 }, 'and the first one does not mind');
  const second = await boot(
    t,
    host,
    'echo up; until [ $(wc -l <"$PIDS") = 2 ]; do :; done; exit 0',
  );
  t.match(await second.command.ended, { status: 0 });
});

t.test('--dry-run names the sockets that sim export makes', async (t) => {
  const host = await simulatedHost(t);
  mkdirSync(host.path('bin'), { recursive: true });
  writeFileSync(host.path('bin/linux.uml'), KERNEL, { mode: 0o755 });
  const names = ['web1', 'ü1', 'a+b', '.x', 'cid-4', 'a/b', 'x'.repeat(70), 'x'.repeat(120)];
  for (const name of names) {
    await host.json(['create', name]);
    const dryRun = ['boot', name, '--uml', '--dry-run'];
    const { args } = await host.json<{ args: string[] }>(dryRun);
    const devices = ['--vhost-user', 'vsock', '--vhost-user', 'balloon'];
    const { stdout } = await host.run(['sim', 'export', name, ...devices]);
    const [vsock, balloon] = stdout.toString().split('\n');
    t.ok(args.includes(`virtio_uml.device=${vsock}:19`), name);
    t.ok(args.includes(`virtio_uml.device=${balloon}:5`), name);
    t.same((await host.json<{ args: string[] }>(dryRun)).args, args, 'also once they are there');
  }
});

for (const { what, start, create, told } of [
  {
    what: 'a VM whose vsock VMCI carries',
    start: [],
    create: ['--vsock-transport', 'vmci'],
    told: /carried by VMCI \(EOPNOTSUPP\)\nhint: /,
  },
  {
    what: 'a VM of a host that no kernel knows',
    start: ['--profile', 'patchset-2015'],
    create: [],
    told: /no kernel speaks vsock as a host of patchset-2015 does \(EOPNOTSUPP\)\nhint: /,
  },
]) {
  t.test(`${what} is refused, by --dry-run too`, async (t) => {
    const host = await simulatedHost(t);
    mkdirSync(host.path('bin'), { recursive: true });
    writeFileSync(host.path('bin/linux.uml'), KERNEL, { mode: 0o755 });
    await host.run(['sim', 'start', ...start]);
    await host.json(['create', 'web1', ...create]);
    for (const more of [[], ['--dry-run']]) {
      const ran = await host.run(['boot', 'web1', '--uml', '--init', 'true', ...more]);
      t.match(ran, { status: 7, stderr: told });
      t.equal(ran.stdout.length, 0);
    }
    const exports = (await host.json<{ exports: unknown[] }[]>(['inspect', 'web1']))[0]?.exports;
    t.equal(exports?.length, 1, 'nothing is offered');
  });
}
