/** Sockets of the processes that hold VMs of KVM: their names, and who may take one. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import {
  claim,
  nameOfSocket,
  removeStale,
  socketPath,
  socketPaths,
} from '../../../../src/core/backend/device/kvm/places.js';
import { hostPaths, kvmDirectory, MAX_SOCKET_PATH } from '../../../../src/core/daemon/paths.js';
import { shortDirectory } from '../../../helpers/kvm.js';

function places(t: Test): string {
  const directory = join(shortDirectory(t), 'd');
  mkdirSync(directory, { mode: 0o700 });
  return directory;
}

function server(t: Test): Server {
  const made = createServer();
  t.teardown(() => made.close());
  return made;
}

/** A socket of a process that was killed. */
function stale(path: string): void {
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  t.throws(() => execFileSync(process.execPath, ['-e', script], { stdio: 'ignore' }));
  t.ok(existsSync(path));
}

t.test('each name has a path of its own, which fits and stays in its directory', async (t) => {
  const directory = '/run/user/1000/vmmctl/.kvm';
  t.equal(socketPath(directory, 'web1'), `${directory}/web1.sock`);
  t.equal(nameOfSocket(socketPath(directory, 'web/1 ä')), 'web/1 ä');
  t.match(socketPath(directory, 'x'.repeat(229)), /\/=[0-9a-f]{32}\.sock$/);
  const names = fc.oneof(
    fc.string({ minLength: 1, maxLength: 240, unit: 'binary' }),
    fc.constantFrom('.', '..', '/', '../a', 'a/b', '=', '%', 'a.sock', '%2F'),
  );
  const seen = new Map<string, string>();
  fc.assert(
    fc.property(names, (name) => {
      const path = socketPath(directory, name);
      const file = path.slice(directory.length + 1);
      t.ok(path.startsWith(`${directory}/`) && !file.includes('/'));
      t.ok(Buffer.byteLength(path) <= MAX_SOCKET_PATH);
      const well = Buffer.from(name).toString();
      t.equal(seen.get(path) ?? well, well);
      seen.set(path, well);
    }),
  );
  t.throws(() => socketPath('/x'.repeat(52), 'a'), { code: 'ENAMETOOLONG' });
});

t.test('no simulated host has the directory', async (t) => {
  const env = { XDG_RUNTIME_DIR: '/run/user/1000' };
  t.equal(kvmDirectory(env), '/run/user/1000/vmmctl/.kvm');
  t.throws(() => hostPaths('.kvm', env), { code: 'EINVAL' });
});

t.test('of many who want a name one gets it', async (t) => {
  const path = join(places(t), 'web1.sock');
  const tries = await Promise.allSettled(Array.from({ length: 5 }, () => claim(server(t), path)));
  t.equal(tries.filter(({ status }) => status === 'fulfilled').length, 1);
  for (const each of tries) {
    if (each.status === 'rejected') t.match(each.reason, { code: 'EEXIST' });
  }
  await removeStale(path);
  t.ok(existsSync(path), 'the socket of a living process is left alone');
});

t.test('a socket that was left behind is in nobodys way', async (t) => {
  const directory = places(t);
  const path = join(directory, 'web1.sock');
  stale(path);
  t.same(socketPaths(directory), [path]);
  await removeStale(path);
  t.same(socketPaths(directory), []);
  stale(path);
  await claim(server(t), path);
  t.same(readdirSync(directory), ['web1.sock'], 'no lock is left');
});

t.test('a directory that is not ours alone is refused, and none is none', async (t) => {
  const directory = join(shortDirectory(t), 'd');
  t.same(socketPaths(directory), []);
  mkdirSync(directory);
  execFileSync('chmod', ['755', directory]);
  t.throws(() => socketPaths(directory), { code: 'EACCES' });
  execFileSync('chmod', ['700', directory]);
  writeFileSync(join(directory, 'other'), '');
  t.same(socketPaths(directory), []);
});
