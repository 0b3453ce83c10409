import t from 'tap';
import { ROOT } from '../../../../src/core/simulator/node.js';
import { codeOf, create, jailed, names, user, vmmHost } from '../../../helpers/vmm.js';

t.test('hw.vmm.create and hw.vmm.destroy work by name, and the VM stays', async (t) => {
  const vmm = vmmHost();
  t.equal(vmm.sysctl('hw.vmm.create', 'a', ROOT), '');
  t.match(vmm.visible(ROOT), [{ name: 'a', lifetime: 'persistent' }]);
  t.equal(vmm.sysctl('hw.vmm.destroy', 'a', ROOT), '');
  t.strictSame(names(vmm), []);
});

t.test('hw.vmm.create stays what it was in the draft', async (t) => {
  const vmm = vmmHost({ profile: 'draft' });
  vmm.sysctl('hw.vmm.create', 'a', ROOT);
  t.match(vmm.visible(ROOT), [{ lifetime: 'persistent' }]);
});

t.test('hw.vmm.create gives EBADF where the host is told to be like that', async (t) => {
  const vmm = vmmHost({ sysctlCreateFails: true });
  t.equal(
    codeOf(() => vmm.sysctl('hw.vmm.create', 'a', ROOT)),
    'EBADF',
  );
});

t.test('the sysctls and the node work on the same VMs, with the same errors', async (t) => {
  const vmm = vmmHost();
  create(vmm.openControl(ROOT, 'rw'), 'a');
  t.equal(
    codeOf(() => vmm.sysctl('hw.vmm.create', 'a', ROOT)),
    'EEXIST',
  );
  t.equal(
    codeOf(() => vmm.sysctl('hw.vmm.destroy', 'b', ROOT)),
    'EINVAL',
  );
  t.equal(
    codeOf(() => vmm.sysctl('hw.vmm.create', 'a b', ROOT)),
    'EINVAL',
  );
  t.equal(
    codeOf(() => vmm.sysctl('hw.vmm.destroy', 'a', ROOT)),
    'ok',
  );
});

t.test('a name of more than 229 bytes is EINVAL', async (t) => {
  const vmm = vmmHost();
  t.equal(
    codeOf(() => vmm.sysctl('hw.vmm.create', 'x'.repeat(230), ROOT)),
    'EINVAL',
  );
  t.equal(
    codeOf(() => vmm.sysctl('hw.vmm.create', 'x'.repeat(229), ROOT)),
    'ok',
  );
});

t.test('writing without being root is EPERM', async (t) => {
  const vmm = vmmHost();
  vmm.create('a', 'ephemeral', user(1000));
  t.equal(
    codeOf(() => vmm.sysctl('hw.vmm.create', 'b', user(1000))),
    'EPERM',
  );
  t.equal(
    codeOf(() => vmm.sysctl('hw.vmm.destroy', 'a', user(1000))),
    'EPERM',
  );
  t.equal(
    codeOf(() => vmm.sysctl('hw.vmm.maxvmms', '5', user(1000))),
    'EPERM',
  );
});

t.test('they may be written in a jail with allow.vmm, else EPERM', async (t) => {
  const vmm = vmmHost({ deniedJails: new Set(['no']) });
  t.equal(
    codeOf(() => vmm.sysctl('hw.vmm.create', 'a', jailed('yes'))),
    'ok',
  );
  t.equal(
    codeOf(() => vmm.sysctl('hw.vmm.destroy', 'a', jailed('yes'))),
    'ok',
  );
  t.equal(
    codeOf(() => vmm.sysctl('hw.vmm.create', 'a', jailed('no'))),
    'EPERM',
  );
  t.equal(
    codeOf(() => vmm.sysctl('hw.vmm.destroy', 'a', jailed('no'))),
    'EPERM',
  );
});

t.test('reading hw.vmm.create and hw.vmm.destroy gives nothing', async (t) => {
  const vmm = vmmHost();
  t.equal(vmm.sysctl('hw.vmm.create', undefined, user(1000)), '');
  t.equal(vmm.sysctl('hw.vmm.destroy', undefined, ROOT), '');
});

t.test('hw.vmm.maxcpu is read-only, and within what a CPU set holds', async (t) => {
  t.equal(vmmHost({ maxCpu: 16 }).sysctl('hw.vmm.maxcpu', undefined, ROOT), '16');
  t.equal(vmmHost({ maxCpu: 0 }).sysctl('hw.vmm.maxcpu', undefined, ROOT), '1');
  t.equal(vmmHost({ maxCpu: -5 }).sysctl('hw.vmm.maxcpu', undefined, ROOT), '1');
  t.equal(vmmHost({ maxCpu: 1e6 }).sysctl('hw.vmm.maxcpu', undefined, ROOT), '1024');
  t.equal(
    codeOf(() => vmmHost().sysctl('hw.vmm.maxcpu', '4', ROOT)),
    'EPERM',
  );
});

t.test('hw.vmm.maxvmms can be changed, and holds from then on', async (t) => {
  const vmm = vmmHost({ maxVms: 1 });
  t.equal(vmm.sysctl('hw.vmm.maxvmms', undefined, user(1000)), '1');
  vmm.create('a', 'persistent', ROOT);
  t.equal(
    codeOf(() => vmm.create('b', 'persistent', ROOT)),
    'ENOMEM',
  );
  t.equal(vmm.sysctl('hw.vmm.maxvmms', '2', ROOT), '2');
  vmm.create('b', 'persistent', ROOT);
  vmm.sysctl('hw.vmm.maxvmms', '1', ROOT);
  t.equal(
    codeOf(() => vmm.create('c', 'persistent', ROOT)),
    'ENOMEM',
  );
  vmm.sysctl('hw.vmm.maxvmms', '0', ROOT);
  t.equal(
    codeOf(() => vmm.create('c', 'persistent', ROOT)),
    'ok',
    '0 is no limit',
  );
});

t.test('hw.vmm.maxvmms takes only a number of 32 bits, else EINVAL', async (t) => {
  const vmm = vmmHost();
  for (const value of ['', '-1', 'many', '1.5', '4294967296', '0x10']) {
    t.equal(
      codeOf(() => vmm.sysctl('hw.vmm.maxvmms', value, ROOT)),
      'EINVAL',
      value,
    );
  }
});

t.test('hw.vmm.maxvmms may not be written in a jail', async (t) => {
  t.equal(
    codeOf(() => vmmHost().sysctl('hw.vmm.maxvmms', '1', jailed('a'))),
    'EPERM',
  );
});

t.test('another name is ENOENT', async (t) => {
  t.equal(
    codeOf(() => vmmHost().sysctl('hw.vmm.none', undefined, ROOT)),
    'ENOENT',
  );
});

t.test('the kernel says who it is, to anybody', async (t) => {
  const release = (of: '14' | '15.0' | '2026-02') =>
    vmmHost({ release: of }).sysctl('kern.osrelease', undefined, user(1000));
  t.equal(vmmHost().sysctl('kern.ostype', undefined, user(1000)), 'FreeBSD');
  t.equal(release('14'), '14.0-RELEASE');
  t.equal(release('15.0'), '15.0-RELEASE');
  t.equal(release('2026-02'), '16.0-CURRENT');
  t.equal(
    codeOf(() => vmmHost().sysctl('kern.ostype', 'Linux', ROOT)),
    'EPERM',
  );
});
