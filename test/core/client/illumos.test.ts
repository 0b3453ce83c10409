import t from 'tap';
import { SystemError } from '../../../src/core/abi/errno.js';
import type { DeviceNode } from '../../../src/core/backend/port/node.js';
import type { Backend, Machine } from '../../../src/core/backend/port.js';
import { refuseIllumos } from '../../../src/core/client/illumos.js';
import { createVm } from '../../../src/core/client/vm.js';
import { destroyVms } from '../../../src/core/client/vm-destroy.js';
import { Kernel, withoutManagement } from '../../helpers/kernel.js';

/** The one number of illumos that we send, written out: 'V' << 16 | 'M' << 8 | 4. */
const INTERFACE_VERSION = 0x564d04;

/** A /dev/vmmctl that knows no number of FreeBSD's, and perhaps tells a version as illumos' does. */
function foreign(version: number | undefined): Backend {
  const node: DeviceNode = {
    path: '/dev/vmmctl',
    async ioctl(request) {
      if (request !== INTERFACE_VERSION || version === undefined) throw new SystemError('ENOTTY');
      return { result: version, data: new Uint8Array(0) };
    },
    close: async () => undefined,
  };
  const kernel = new Kernel();
  const machine: Machine = { ...kernel.machine(), open: async () => node };
  return withoutManagement({ uri: 'device', machine: () => machine, close: async () => undefined });
}

const request = { name: 'a', cpus: 1, memory: 4096, ephemeral: false };

t.test('illumos is refused by its name before anything is sent', async (t) => {
  t.throws(() => refuseIllumos('sunos'), { code: 'EOPNOTSUPP', message: /illumos/ });
  for (const platform of ['freebsd', 'linux', 'darwin']) refuseIllumos(platform);
});

t.test('illumos is known by the version that its node tells', async (t) => {
  const words = { code: 'EOPNOTSUPP', message: /illumos/, cause: { code: 'ENOTTY' } };
  await t.rejects(createVm(foreign(17), request), words);
  const failures: unknown[] = [];
  await destroyVms(foreign(17), ['a'], (_, error) => failures.push(error));
  t.match(failures, [words]);
});

t.test('another node of that name is what it says', async (t) => {
  await t.rejects(createVm(foreign(undefined), request), { code: 'ENOTTY' });
  const version = 0;
  await t.rejects(createVm(foreign(version), request), { code: 'ENOTTY' });
});
