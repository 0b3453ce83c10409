import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';

t.test('the demo shows the main job and leaves nothing behind', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'vd-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/demo.mjs'], {
    env: { PATH: process.env.PATH, TMPDIR: directory, VMMCTL_BACKEND: 'sim:not-this-one' },
    encoding: 'utf8',
    timeout: 60_000,
  });
  t.equal(status, 0, stderr);
  t.match(stdout, /the same\n/);
  t.match(stdout, /exit status 6\n/);
  t.notMatch(stdout, '\u001b', 'no colour where it is no terminal');
  t.same(existsSync(directory) ? readdirSync(directory) : [], []);
});
