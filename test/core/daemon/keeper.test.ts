import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { readJournal } from '../../../src/core/daemon/journal.js';
import { callerFrom, Keeper } from '../../../src/core/daemon/keeper.js';
import { Log } from '../../../src/core/daemon/log.js';
import { EXPORT_MAKERS } from '../../../src/core/export/makers.js';
import { OfferedExports } from '../../../src/core/export/offered.js';
import type { SavedVm } from '../../../src/core/simulator/domain.js';
import { ROOT } from '../../../src/core/simulator/node.js';
import { SeededRng } from '../../../src/core/simulator/rng.js';
import { DEFAULT_VMM_CONFIG } from '../../../src/core/simulator/vmm/config.js';

function saved(name: string, cid: number): SavedVm {
  return {
    name,
    creator: { uid: 0, gid: 0, groups: [0], capabilities: 'all', jail: '' },
    createdAtMs: 0,
    topology: { sockets: 1, cores: 2, threads: 1, maxcpus: 8 },
    memsegs: [{ segid: 0, len: '4096', name: '' }],
    cid,
    labels: {},
  };
}

/** A keeper with a directory of its own, as one run of the daemon would have it. */
function keep(t: Test, vms: readonly SavedVm[]) {
  // Sockets need a short path, which the test's own directory is not.
  const directory = mkdtempSync('/tmp/vk-');
  const journal = join(directory, 'vms.journal');
  const keeper = new Keeper(
    {
      rng: new SeededRng(1),
      profile: 'linux-6.12',
      policy: 'isolated',
      vmm: DEFAULT_VMM_CONFIG,
    },
    vms,
    journal,
    (owner) => new OfferedExports(directory, owner, EXPORT_MAKERS),
    new Log(join(directory, 'log')),
  );
  t.teardown(async () => {
    await keeper.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const names = () => readJournal(journal).vms.map(({ name }) => name);
  return { keeper, names };
}

t.test('a VM that cannot be brought back stays in the journal', async (t) => {
  const { keeper, names } = keep(t, [saved('one', 3), saved('other', 3)]);
  t.strictSame(
    keeper.world.domains(ROOT).map(({ vm }) => vm.name),
    ['one'],
    'both had the same CID',
  );
  t.strictSame(names(), ['one', 'other']);
});

t.test('a VM of the same name takes the place of one that could not be brought back', async (t) => {
  const { keeper, names } = keep(t, [saved('one', 3), saved('other', 3)]);
  keeper.world.vmm.create('other', 'persistent', ROOT);
  keeper.digest();
  await keeper.durable();
  t.strictSame(names(), ['one', 'other']);
  keeper.world.vmm.destroyByName('other', ROOT);
  keeper.digest();
  t.strictSame(names(), ['one']);
});

t.test('a VM that is being made is written down when its handle is closed', async (t) => {
  const { keeper, names } = keep(t, []);
  const making = new Set<string>();
  keeper.world.vmm.create('new', 'persistent', ROOT);
  keeper.digest(making);
  t.strictSame([...making], ['new']);
  t.strictSame(names(), []);
  keeper.settled(making);
  t.strictSame(names(), ['new']);
});

t.test('a caller is root unless something else makes sense', async (t) => {
  t.strictSame(callerFrom({}), { ...ROOT, groups: [0] });
  t.match(callerFrom({ uid: 1000 }), { uid: 1000, gid: 1000, capabilities: new Set() });
  t.match(callerFrom({ uid: 1000, gid: 978, jail: 'a/b' }), {
    gid: 978,
    groups: [978],
    jail: 'a/b',
  });
  for (const uid of [-1, 1.5, 2 ** 32, '0', null]) t.equal(callerFrom({ uid }).uid, 0);
});
