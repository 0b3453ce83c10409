import { chmodSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import {
  checkPrivate,
  checkSocket,
  hostPaths,
  MAX_SOCKET_PATH,
  makeDirectories,
} from '../../../src/core/daemon/paths.js';

/** Paths in a directory of the test, which is short enough for a socket wherever the tests are run. */
function testPaths(t: Test) {
  const base = mkdtempSync(join(tmpdir(), 'vmmctl-'));
  t.teardown(() => rmSync(base, { recursive: true }));
  return hostPaths('h', {
    XDG_RUNTIME_DIR: join(base, 'run'),
    XDG_STATE_HOME: join(base, 'state'),
  });
}

t.test('sockets are in the runtime directory, what lasts in the state directory', async (t) => {
  t.same(hostPaths('lab', { XDG_RUNTIME_DIR: '/run/user/7', XDG_STATE_HOME: '/s' }), {
    host: 'lab',
    runtime: '/run/user/7/vmmctl/lab',
    state: '/s/vmmctl/lab',
    socket: '/run/user/7/vmmctl/lab/sim.sock',
    lock: '/run/user/7/vmmctl/lab/sim.lock',
    log: '/s/vmmctl/lab/sim.log',
    journal: '/s/vmmctl/lab/vms.journal',
    options: '/s/vmmctl/lab/options.json',
  });
});

t.test("without the variables they are in /tmp, by user, and in the user's home", async (t) => {
  for (const env of [{}, { XDG_RUNTIME_DIR: '', XDG_STATE_HOME: '' }]) {
    const { runtime, state } = hostPaths('lab', env);
    t.equal(runtime, `/tmp/vmmctl-${process.getuid?.() ?? 0}/lab`);
    t.equal(state, join(homedir(), '.local/state/vmmctl/lab'));
  }
});

t.test('a relative directory is ignored', async (t) => {
  const env = { XDG_RUNTIME_DIR: 'run', XDG_STATE_HOME: './state' };
  t.same(hostPaths('lab', env), hostPaths('lab', {}));
});

t.test('a name that could leave its directory is refused', async (t) => {
  for (const host of ['', '.', '..', '../x', 'a/b', '-a', '.a', 'a b', 'ä', 'a'.repeat(33)]) {
    t.throws(() => hostPaths(host, {}), { code: 'EINVAL' }, host);
  }
  for (const host of ['a', '1', 'web-1_x.y', 'a'.repeat(32)]) {
    t.equal(hostPaths(host, {}).host, host);
  }
});

t.test('a path that is too long for a socket is refused', async (t) => {
  const fill = (socketLength: number) => {
    const rest = '/vmmctl/h/sim.sock'.length;
    return `/${'d'.repeat(socketLength - rest - 1)}`;
  };
  const env = (length: number) => ({ XDG_RUNTIME_DIR: fill(length) });
  t.equal(hostPaths('h', env(MAX_SOCKET_PATH)).socket.length, MAX_SOCKET_PATH);
  t.throws(() => hostPaths('h', env(MAX_SOCKET_PATH + 1)), { code: 'ENAMETOOLONG' });
});

t.test('directories are made for their owner alone, and can be there already', async (t) => {
  const paths = testPaths(t);
  makeDirectories(paths);
  makeDirectories(paths);
  for (const directory of [paths.runtime, join(paths.runtime, '..'), paths.state]) {
    t.equal(statSync(directory).mode & 0o777, 0o700);
  }
});

t.test('a directory that others can enter, or that is none, is refused', async (t) => {
  const open = testPaths(t);
  makeDirectories(open);
  chmodSync(open.runtime, 0o750);
  t.throws(() => makeDirectories(open), { code: 'EACCES', path: open.runtime });
  t.throws(() => checkSocket(open), { code: 'EACCES' });
  const base = t.testdir({ file: '', real: {} });
  chmodSync(join(base, 'real'), 0o700);
  symlinkSync(join(base, 'real'), join(base, 'link'));
  t.throws(() => checkPrivate(join(base, 'file')), { code: 'EACCES' });
  t.throws(() => checkPrivate(join(base, 'link')), { code: 'EACCES' }, 'a link is not followed');
  t.doesNotThrow(() => checkPrivate(join(base, 'real')));
  t.throws(() => checkPrivate(join(base, 'none')), { code: 'ENOENT' });
});

t.test('a socket of ours is recognised, anything else in its place is refused', async (t) => {
  const paths = testPaths(t);
  t.equal(checkSocket(paths), false, 'no directory');
  makeDirectories(paths);
  t.equal(checkSocket(paths), false, 'no socket');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(paths.socket, resolve));
  t.equal(checkSocket(paths), true);
  await new Promise((resolve) => server.close(resolve));
  t.equal(checkSocket(paths), false);
  writeFileSync(paths.socket, '');
  t.throws(() => checkSocket(paths), { code: 'EACCES', path: paths.socket });
});
