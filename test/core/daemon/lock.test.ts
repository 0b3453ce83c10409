import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { takeLock } from '../../../src/core/daemon/lock.js';

function lockPath(t: Test): string {
  return join(t.testdir({}), 'sim.lock');
}

/** The number of a process that has ended. */
function deadProcess(): number {
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  if (pid === undefined || pid === 0) throw new Error('no process could be started');
  return pid;
}

t.test('a lock names its holder, and leaves nothing when it is given back', async (t) => {
  const path = lockPath(t);
  const release = await takeLock(path);
  t.equal(readFileSync(path, 'utf8').split(' ')[0], String(process.pid));
  t.same(readdirSync(join(path, '..')), ['sim.lock']);
  release();
  t.same(readdirSync(join(path, '..')), []);
  release();
});

t.test('of many takers one at a time has it, and each gets it', async (t) => {
  const path = lockPath(t);
  let holders = 0;
  const take = async () => {
    const release = await takeLock(path);
    t.equal(++holders, 1);
    await new Promise((resolve) => setImmediate(resolve));
    holders--;
    release();
  };
  await Promise.all(Array.from({ length: 5 }, take));
  t.same(readdirSync(join(path, '..')), []);
});

t.test('the lock of a process that died is taken', async (t) => {
  const path = lockPath(t);
  writeFileSync(path, String(deadProcess()));
  const release = await takeLock(path);
  t.equal(readFileSync(path, 'utf8').split(' ')[0], String(process.pid));
  t.same(readdirSync(join(path, '..')), ['sim.lock']);
  release();
});

t.test('two takers of a dead lock get it one after the other', async (t) => {
  const path = lockPath(t);
  writeFileSync(path, String(deadProcess()));
  const order: string[] = [];
  const first = takeLock(path).then((release) => {
    order.push('first');
    release();
  });
  const second = takeLock(path).then((release) => {
    order.push('second');
    release();
  });
  await Promise.all([first, second]);
  t.equal(order.length, 2);
  t.same(readdirSync(join(path, '..')), []);
});

t.test('a holder that lives is waited for, then EBUSY is given', async (t) => {
  const path = lockPath(t);
  writeFileSync(path, String(process.ppid));
  await t.rejects(takeLock(path, 0), { code: 'EBUSY', path });
  t.equal(readFileSync(path, 'utf8'), String(process.ppid), 'and its lock stays');
  t.same(readdirSync(join(path, '..')), ['sim.lock']);
});

t.test('a number that another process has now is no holder', async (t) => {
  const path = lockPath(t);
  const release = await takeLock(path);
  const own = readFileSync(path, 'utf8');
  const [pid, startedAt] = own.split(' ');
  if (startedAt === undefined) return void t.pass('the system does not tell when a process began');
  release();

  writeFileSync(path, `${pid} ${Number(startedAt) - 1}`);
  (await takeLock(path))();
  writeFileSync(path, own);
  await t.rejects(takeLock(path, 0), { code: 'EBUSY', message: new RegExp(`process ${pid}$`) });
});

t.test('a lock that names nobody is not taken from whoever it is', async (t) => {
  for (const text of ['', 'nonsense', '-5', '0', '1.5']) {
    const path = lockPath(t);
    writeFileSync(path, text);
    await t.rejects(takeLock(path, 0), { code: 'EBUSY' });
    t.equal(readFileSync(path, 'utf8'), text);
  }
});

t.test('a directory that is not there is an error', async (t) => {
  await t.rejects(takeLock(join(t.testdir({}), 'none', 'sim.lock')), { code: 'ENOENT' });
});
