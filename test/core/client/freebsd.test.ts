import t from 'tap';
import { hostVersionBySysctl } from '../../../src/core/client/freebsd.js';
import { Kernel } from '../../helpers/kernel.js';

t.test('a FreeBSD host says who it is by sysctls', async (t) => {
  t.same(
    await hostVersionBySysctl(new Kernel({ release: '15.0', maxCpu: 8, maxVms: 32 }).machine()),
    {
      product: 'FreeBSD',
      version: '15.0-RELEASE',
      revision: '',
      features: ['hw.vmm.maxcpu=8', 'hw.vmm.maxvmms=32'],
    },
  );
});

t.test('a machine without those sysctls says nothing', async (t) => {
  t.equal(await hostVersionBySysctl(new Kernel({ bare: true }).machine()), undefined);
});
