/** The lab in user-mode Linux keeps its promises, and so does what all labs share when something goes wrong. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import t from 'tap';
import { until } from '../helpers/host.js';
import { processesOf, testLab } from './contract.js';
import { bootUml, requireUml } from './uml.js';

t.test('a lab in user-mode Linux', async (t) => {
  if (!requireUml(t)) return;
  const lab = await bootUml(t);
  t.match(lab.release, /^\d+\.\d+\.\d+/);
  await testLab(t, lab);
});

t.test('a lab can begin without modules', async (t) => {
  if (!requireUml(t)) return;
  const lab = await bootUml(t, { modules: [] });
  t.equal((await lab.run('cat /proc/modules')).stdout.toString(), '');
  t.not((await lab.run('socat -u VSOCK-LISTEN:1234 STDOUT')).status, 0, 'nothing loads them');
  await lab.loadModule('cuse');
  t.equal((await lab.run('[ -c /dev/cuse ]')).status, 0);

  lab.start('echo c >/proc/sysrq-trigger');
  await t.rejects(lab.run('sleep 600'), /ended while a command ran(.|\n)*Kernel panic/);
  await t.rejects(lab.run('true'), /ended while a command ran/, 'nor does it take another');
});

t.test('a kernel that does not boot shows its last words, and leaves no files', async (t) => {
  if (!requireUml(t)) return;
  const { TMPDIR: usual = '/tmp' } = process.env;
  process.env.TMPDIR = t.testdir();
  t.teardown(() => {
    process.env.TMPDIR = usual;
  });
  await t.rejects(
    bootUml(t, { args: ['init=/does/not/exist'] }),
    /ended while it booted(.|\n)*\/does\/not\/exist(.|\n)*Kernel panic/,
  );
  t.strictSame(readdirSync(process.env.TMPDIR), []);
});

t.test('a lab whose test is killed goes as well', async (t) => {
  if (!requireUml(t)) return;
  const script = `
    import { bootUml } from ${JSON.stringify(new URL('./uml.js', import.meta.url).href)};
    const { pid, directory } = await bootUml({ teardown() {} }, { modules: [] });
    console.log(JSON.stringify({ pid, directory }));`;
  const owner = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => owner.kill('SIGKILL'));
  const { pid, directory } = JSON.parse(await firstLine(owner.stdout));
  t.not(processesOf(pid).length, 0);
  t.ok(existsSync(directory));
  owner.kill('SIGKILL');
  await until('the lab is gone', () => processesOf(pid).length === 0 && !existsSync(directory));
});

async function firstLine(stream: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface(stream)) return line;
  throw new Error('the lab did not boot');
}
