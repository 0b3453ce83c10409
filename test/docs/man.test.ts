/** The checks of scripts/check-man.mjs, and that they find what they are there to find. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { requireTool } from '../helpers/requires.js';

function check(directory = 'man') {
  const program = [process.execPath, 'scripts/check-man.mjs', directory] as const;
  const { status, stderr } = spawnSync(program[0], program.slice(1), { encoding: 'utf8' });
  return { status, stderr };
}

t.test('the manual agrees with the program, and mandoc has nothing to say', async (t) => {
  if (!requireTool(t, 'mandoc')) return;
  t.match(check(), { status: 0, stderr: /^\d+ manual pages, 0 problems\n$/ });
});

t.test('the checks find flags, statuses and words that are wrong', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'vmmctl-man-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  cpSync('man', directory, { recursive: true });
  const change = (file: string, from: string, to: string) => {
    const path = join(directory, file);
    const text = readFileSync(path, 'utf8');
    t.not(text.replace(from, to), text, `${file} is changed`);
    writeFileSync(path, text.replace(from, to));
  };
  change('vmmctl-create.1', '.It Fl Fl cpus Ar N', '.It Fl Fl cores Ar N');
  change('vmmctl-vsock-ping.1', '.It Fl i ,', '.It Fl x ,');
  change('vmmctl-vsock-ping.1', 'The default is 4.', 'The the default  is 4. ');
  change('vmmctl.1', '.It 127\n', '.It 122\n');
  change('vmmctl.1', '.Er ENETUNREACH ,\n', '');
  change('vmmctl-list.1', '.Sh HISTORY\n', '.Sh BUGS\n');
  rmSync(join(directory, 'vmmctl-inspect.1'));
  const { status, stderr } = check(directory);
  t.equal(status, 1);
  for (const problem of [
    'vmmctl-create.1: no item for --cpus',
    "vmmctl-create.1: 'cores' is no flag of the program",
    'vmmctl-vsock-ping.1: the letter of --interval is wrong',
    "'the the'",
    'two blanks',
    'a blank at the end of the line',
    'vmmctl.1: no exit status 127',
    'vmmctl.1: exit status 122 is none of the program',
    'vmmctl.1: exit status 6 lacks ENETUNREACH',
    'vmmctl-list.1: no section HISTORY',
    "no page for 'vmmctl inspect'",
    'package.json: man lists vmmctl-inspect.1, which is not there',
  ]) {
    t.match(stderr, problem);
  }
});
