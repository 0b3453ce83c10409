import t from 'tap';
import {
  defaultPolicy,
  VSOCK_POLICIES,
  VSOCK_PROFILES,
} from '../../../../src/core/simulator/vsock/profile.js';
import { Lab, utf8 } from '../../../helpers/vsock.js';

t.test('each profile has its name', async (t) => {
  for (const [name, profile] of Object.entries(VSOCK_PROFILES)) t.equal(profile.name, name);
});

t.test('guests are isolated, except that in 2015 only the host connected', async (t) => {
  t.equal(defaultPolicy('linux-6.12'), 'isolated');
  t.equal(defaultPolicy('linux-6.1'), 'isolated');
  t.equal(defaultPolicy('patchset-2015'), 'host-connects');
});

t.test('under every profile and policy the host talks to a guest', async (t) => {
  for (const profile of ['linux-6.12', 'linux-6.1', 'patchset-2015'] as const) {
    for (const policy of VSOCK_POLICIES) {
      const lab = new Lab({ profile, policy });
      const { client, server } = lab.pair('stream', lab.host, lab.stack());
      client.send(utf8('ping'));
      lab.settle();
      t.equal(server.recv(10)?.length, 4, `${profile}, ${policy}`);
    }
  }
});
