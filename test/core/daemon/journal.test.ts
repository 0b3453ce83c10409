import { appendFileSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Journal, readJournal, writeAtomically } from '../../../src/core/daemon/journal.js';
import type { SavedVm } from '../../../src/core/simulator/domain.js';

function vm(name: string, cid: number | null = null): SavedVm {
  return {
    name,
    creator: { uid: 0, gid: 0, groups: [0], capabilities: 'all', jail: '' },
    createdAtMs: 1000,
    topology: { sockets: 1, cores: 1, threads: 1, maxcpus: 16 },
    memsegs: [],
    cid,
    labels: {},
  };
}

function journalPath(t: Test): string {
  return join(t.testdir({}), 'vms.journal');
}

function names(path: string): string[] {
  return readJournal(path).vms.map(({ name }) => name);
}

t.test('a journal that is not there is empty', async (t) => {
  t.same(readJournal(journalPath(t)), { vms: [], damaged: 0 });
});

t.test('a file that cannot be read is an error, not an empty journal', async (t) => {
  t.throws(() => readJournal(t.testdir({})), { code: 'EISDIR' });
});

t.test('what was put is read, the last word of each name counts', async (t) => {
  const path = journalPath(t);
  const journal = new Journal(path, [vm('a', 3), vm('b')]);
  journal.put(vm('c'));
  journal.put(vm('a', 9));
  journal.del('b');
  journal.del('never there');
  await journal.flush();
  journal.close();
  t.same(readJournal(path), { vms: [vm('a', 9), vm('c')], damaged: 0 });
});

t.test('how a VM is offered is kept with it', async (t) => {
  const path = journalPath(t);
  const kept = { ...vm('a', 3), exports: ['cuse', 'of a later version'] };
  new Journal(path, [kept, vm('b')]).close();
  t.same(readJournal(path).vms, [kept, vm('b')]);
  for (const exports of ['cuse', [1], {}]) {
    appendFileSync(path, `${JSON.stringify({ put: { ...vm('c'), exports } })}\n`);
  }
  t.equal(readJournal(path).damaged, 3);
});

t.test('a name can be deleted and put again', async (t) => {
  const path = journalPath(t);
  const journal = new Journal(path, [vm('a', 3)]);
  journal.del('a');
  t.same(names(path), []);
  journal.put(vm('a', 4));
  t.equal(readJournal(path).vms[0]?.cid, 4);
  journal.close();
});

t.test('a last line that was cut is left out, wherever it was cut', async (t) => {
  const path = journalPath(t);
  new Journal(path, [vm('a'), vm('b')]).close();
  const whole = readFileSync(path);
  const first = whole.indexOf('\n') + 1;
  for (let end = first; end < whole.length; end++) {
    writeFileSync(path, whole.subarray(0, end));
    const { vms, damaged } = readJournal(path);
    if (vms.length !== 1 || damaged !== 0) t.fail(`cut at ${end}`);
  }
  writeFileSync(path, whole);
  t.same(names(path), ['a', 'b']);
});

t.test('damaged lines in the middle are counted, and hide no other line', async (t) => {
  const path = journalPath(t);
  new Journal(path, [vm('a')]).close();
  const bad = [
    '{"put":{"na',
    'null',
    '[]',
    '{}',
    '{"put":{"name":"x"}}',
    '{"del":5}',
    JSON.stringify({ put: { ...vm('x'), cid: 'three' } }),
    JSON.stringify({ put: { ...vm('x'), memsegs: [5] } }),
    '\u0000\u0000\u0000',
  ];
  appendFileSync(path, `${bad.join('\n')}\n\n${JSON.stringify({ put: vm('b') })}\n`);
  const { vms, damaged } = readJournal(path);
  t.same(
    vms.map(({ name }) => name),
    ['a', 'b'],
  );
  t.equal(damaged, bad.length);
});

t.test('a start writes the file anew, and only for its owner', async (t) => {
  const path = journalPath(t);
  writeFileSync(path, 'rubbish\n'.repeat(1000));
  new Journal(path, [vm('a')]).close();
  t.equal(readFileSync(path, 'utf8').split('\n').length, 2);
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.notOk(existsSync(`${path}.new`));
});

t.test('an atomic write leaves the old text when it fails', async (t) => {
  const directory = t.testdir({ file: 'old', 'file.new': {} });
  t.throws(() => writeAtomically(join(directory, 'file'), 'new'), { code: 'EISDIR' });
  t.equal(readFileSync(join(directory, 'file'), 'utf8'), 'old');
});

t.test('an atomic write is not disturbed by what a crash left', async (t) => {
  const directory = t.testdir({ file: 'old', 'file.new': 'half of something longer' });
  writeAtomically(join(directory, 'file'), 'new');
  t.equal(readFileSync(join(directory, 'file'), 'utf8'), 'new');
  t.notOk(existsSync(join(directory, 'file.new')));
});

/** A disk that says when it is done. */
class Disk {
  readonly #waiting: { resolve: () => void; reject: (error: Error) => void }[] = [];
  syncs = 0;

  readonly sync = (): Promise<void> => {
    this.syncs++;
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  };

  async done(error?: Error): Promise<void> {
    const sync = this.#waiting.shift();
    if (error === undefined) sync?.resolve();
    else sync?.reject(error);
    await turn();
  }
}

/** Lets all promises that can go on do so. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Whether each promise was kept so far. */
function kept(promises: readonly Promise<void>[]): boolean[] {
  const states = promises.map(() => false);
  promises.forEach((promise, n) => {
    promise.then(
      () => {
        states[n] = true;
      },
      () => undefined,
    );
  });
  return states;
}

t.test('flush waits for the disk, and many of them share a sync', async (t) => {
  const disk = new Disk();
  const journal = new Journal(journalPath(t), [], disk.sync);
  await journal.flush();
  t.equal(disk.syncs, 0, 'nothing was written, nothing is to be synced');
  journal.put(vm('a'));
  const first = journal.flush();
  const others = Array.from({ length: 50 }, (_, n) => {
    journal.put(vm(`b${n}`));
    return journal.flush();
  });
  const states = kept([first, ...others]);
  await turn();
  t.equal(disk.syncs, 1);
  t.notOk(states.some(Boolean));
  await disk.done();
  t.same([states[0], states[1]], [true, false], 'a sync is good for what was written before it');
  t.equal(disk.syncs, 2, 'one more for all others');
  await disk.done();
  t.ok(states.every(Boolean));
  t.equal(disk.syncs, 2);
  journal.close();
});

t.test(
  'a sync that fails is told to who waited for it, and tried again for the next',
  async (t) => {
    const disk = new Disk();
    const journal = new Journal(journalPath(t), [], disk.sync);
    journal.put(vm('a'));
    const failed = t.rejects(journal.flush(), { message: 'the disk is broken' });
    await turn();
    await disk.done(new Error('the disk is broken'));
    await failed;
    const again = journal.flush();
    await turn();
    t.equal(disk.syncs, 2);
    await disk.done();
    await again;
    journal.close();
  },
);

t.test('the disk of this machine can be synced', async (t) => {
  const path = journalPath(t);
  const journal = new Journal(path, []);
  journal.put(vm('a'));
  await Promise.all([journal.flush(), journal.flush()]);
  t.same(names(path), ['a']);
  journal.close();
});
