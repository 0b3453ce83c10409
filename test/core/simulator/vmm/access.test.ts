import t from 'tap';
import { ROOT } from '../../../../src/core/simulator/node.js';
import {
  canSee,
  holds,
  isWithin,
  jailAllowsVmm,
} from '../../../../src/core/simulator/vmm/access.js';
import { DEFAULT_VMM_CONFIG } from '../../../../src/core/simulator/vmm/config.js';
import { codeOf, jailed, user, vmmHost } from '../../../helpers/vmm.js';

t.test('root and members of the group vmm may open /dev/vmmctl, others get EACCES', async (t) => {
  const vmm = vmmHost();
  t.equal(
    codeOf(() => vmm.openControl(ROOT, 'rw')),
    'ok',
  );
  t.equal(
    codeOf(() => vmm.openControl(user(1000), 'rw')),
    'ok',
  );
  t.equal(
    codeOf(() => vmm.openControl(user(1000, { gid: 978, groups: [] }), 'rw')),
    'ok',
  );
  t.equal(
    codeOf(() => vmm.openControl(user(1000, { groups: [1, 2] }), 'rw')),
    'EACCES',
  );
});

t.test('before the group vmm only root may open /dev/vmmctl', async (t) => {
  for (const release of ['15.0', '2025-11'] as const) {
    const vmm = vmmHost({ release });
    t.equal(
      codeOf(() => vmm.openControl(ROOT, 'rw')),
      'ok',
    );
    t.equal(
      codeOf(() => vmm.openControl(user(1000), 'rw')),
      'EACCES',
    );
  }
});

t.test('opening /dev/vmmctl without write access is EPERM', async (t) => {
  const vmm = vmmHost();
  t.equal(
    codeOf(() => vmm.openControl(ROOT, 'r')),
    'EPERM',
  );
  t.equal(
    codeOf(() => vmm.openControl(ROOT, 'w')),
    'ok',
  );
});

t.test('the mode of /dev/vmmctl is checked before the access', async (t) => {
  t.equal(
    codeOf(() => vmmHost().openControl(user(1, { groups: [] }), 'r')),
    'EACCES',
  );
});

t.test('a jail without allow.vmm gets EPERM from /dev/vmmctl, and so does one in it', async (t) => {
  const vmm = vmmHost({ deniedJails: new Set(['a']) });
  t.equal(
    codeOf(() => vmm.openControl(jailed('a'), 'rw')),
    'EPERM',
  );
  t.equal(
    codeOf(() => vmm.openControl(jailed('a/b'), 'rw')),
    'EPERM',
  );
  t.equal(
    codeOf(() => vmm.openControl(jailed('ab'), 'rw')),
    'ok',
  );
  t.equal(
    codeOf(() => vmm.openControl(ROOT, 'rw')),
    'ok',
  );
});

t.test('the host itself is never without allow.vmm', async (t) => {
  t.ok(jailAllowsVmm(ROOT, { ...DEFAULT_VMM_CONFIG, deniedJails: new Set(['']) }));
  t.ok(jailAllowsVmm(jailed('a'), { ...DEFAULT_VMM_CONFIG, deniedJails: new Set(['']) }));
});

t.test('the node of a VM opens for its creator and root, others get EACCES', async (t) => {
  const vmm = vmmHost();
  vmm.create('a', 'ephemeral', user(1000));
  t.equal(
    codeOf(() => vmm.openVm('a', user(1000), 'rw')),
    'ok',
  );
  t.equal(
    codeOf(() => vmm.openVm('a', user(1000, { groups: [] }), 'rw')),
    'ok',
  );
  t.equal(
    codeOf(() => vmm.openVm('a', ROOT, 'rw')),
    'ok',
  );
  t.equal(
    codeOf(() => vmm.openVm('a', user(1001), 'rw')),
    'EACCES',
    'also in the group vmm',
  );
});

t.test('before the group vmm only root opens the node of a VM', async (t) => {
  const vmm = vmmHost({ release: '2025-11' });
  vmm.create('a', 'persistent', user(1000));
  t.equal(
    codeOf(() => vmm.openVm('a', user(1000), 'rw')),
    'EACCES',
  );
  t.equal(
    codeOf(() => vmm.openVm('a', ROOT, 'rw')),
    'ok',
  );
});

t.test('the node of a VM is ENOENT outside of its jail and those around it', async (t) => {
  const vmm = vmmHost();
  vmm.create('a', 'persistent', jailed('one'));
  t.equal(
    codeOf(() => vmm.openVm('a', jailed('one'), 'rw')),
    'ok',
  );
  t.equal(
    codeOf(() => vmm.openVm('a', ROOT, 'rw')),
    'ok',
  );
  t.equal(
    codeOf(() => vmm.openVm('a', jailed('two'), 'rw')),
    'ENOENT',
  );
  t.equal(
    codeOf(() => vmm.openVm('a', jailed('one/in'), 'rw')),
    'ENOENT',
  );
});

t.test('a jail that has lost allow.vmm gets EPERM from the node of its VM', async (t) => {
  const vmm = vmmHost({ deniedJails: new Set(['one']) });
  t.equal(
    codeOf(() => vmm.create('a', 'persistent', jailed('one'))),
    'EPERM',
  );
  const creator = { ...jailed('one'), capabilities: 'all' as const };
  const topology = { sockets: 1, cores: 1, threads: 1, maxcpus: 1 };
  vmm.restore({ name: 'a', creator, createdAtMs: 0, topology, memsegs: [] });
  t.equal(
    codeOf(() => vmm.openVm('a', jailed('one'), 'rw')),
    'EPERM',
  );
});

t.test('a jail is within itself and those around it, by whole components', async (t) => {
  t.ok(isWithin('a/b', 'a'));
  t.ok(isWithin('a', 'a'));
  t.ok(isWithin('a', ''));
  t.notOk(isWithin('ab', 'a'));
  t.notOk(isWithin('', 'a'));
});

t.test(
  'privileges are root\u2019s, and those of a user who was given the capability',
  async (t) => {
    t.ok(holds(ROOT, 'PRIV_VMM_CREATE'));
    t.ok(holds({ ...ROOT, capabilities: new Set() }, 'PRIV_VMM_DESTROY'));
    t.ok(holds(user(1, { capabilities: new Set(['PRIV_VMM_CREATE']) }), 'PRIV_VMM_CREATE'));
    t.notOk(holds(user(1, { capabilities: new Set(['PRIV_VMM_CREATE']) }), 'PRIV_VMM_DESTROY'));
    t.ok(holds(user(1, { capabilities: 'all' }), 'PRIV_VMM_DESTROY'));
  },
);

t.test('users see each other unless see_other_uids is off, root sees all', async (t) => {
  const shy = { ...DEFAULT_VMM_CONFIG, seeOtherUids: false };
  t.ok(canSee(user(1), user(2), DEFAULT_VMM_CONFIG));
  t.notOk(canSee(user(1), user(2), shy));
  t.ok(canSee(user(1), user(1), shy));
  t.ok(canSee(ROOT, user(2), shy));
  t.notOk(canSee(jailed('x'), user(2), shy), 'a jail still sees nothing outside of it');
});
