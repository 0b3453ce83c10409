import t from 'tap';
import {
  checksPrivileges,
  clampMaxCpu,
  DEFAULT_VMM_CONFIG,
  hasControlNode,
  VMM_PROFILES,
} from '../../../../src/core/simulator/vmm/config.js';

t.test('a VM may have at least 1 vCPU and at most what a CPU set holds', async (t) => {
  t.equal(clampMaxCpu(4), 4);
  t.equal(clampMaxCpu(0), 1);
  t.equal(clampMaxCpu(-1), 1);
  t.equal(clampMaxCpu(Number.NaN), 1);
  t.equal(clampMaxCpu(2.5), 2);
  t.equal(clampMaxCpu(0xffff), 1024);
});

t.test('privileges are checked since February 2026', async (t) => {
  t.notOk(checksPrivileges('15.0'));
  t.notOk(checksPrivileges('2025-11'));
  t.ok(checksPrivileges('2026-02'));
});

t.test('the default is the newest that landed, without limits', async (t) => {
  t.match(DEFAULT_VMM_CONFIG, { profile: 'landed', release: '2026-02', maxVms: 0 });
});

t.test('what a host can be told to have', async (t) => {
  t.match(VMM_PROFILES.landed, { profile: DEFAULT_VMM_CONFIG.profile, release: '2026-02' });
  t.same(Object.keys(VMM_PROFILES), ['landed', 'draft', 'freebsd-15.0', 'freebsd-14']);
  t.notOk(hasControlNode(VMM_PROFILES['freebsd-14'].release));
  t.ok(hasControlNode(VMM_PROFILES['freebsd-15.0'].release));
});
