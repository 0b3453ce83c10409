/** How `vmmctl boot` ends a guest, with a stand-in for the kernel that needs none. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { type Host, isAlive, type Running, simulatedHost, until } from '../helpers/host.js';

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
    for (const pid of read().filter(isAlive)) process.kill(pid, 'SIGKILL');
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
  await t.test('when its VM is destroyed meanwhile', async (t) => {
    const { command, pids } = await boot(
      t,
      host,
      'trap "exit 0" TERM; echo up; while :; do sleep 0.1; done',
    );
    t.match(await host.run(['destroy', 'web1']), { status: 0 });
    command.kill('SIGTERM');
    t.match(await command.ended, { status: 143, stderr: '' });
    await nothingLeft(t, host, pids());
  });
});
