/** Offers a VM's virtio socket device to a hypervisor: whoever takes it is the VM's guest. */
import { SystemError } from '../../abi/errno.js';
import { VMADDR_CID_ANY } from '../../abi/vm-sockets.js';
import type { ExportMaker } from '../exports.js';
import { offerDevice } from './server.js';
import { socketPath } from './socket-path.js';
import { refuseVmci } from './virtio-only.js';
import { VsockDevice } from './vsock-device.js';

/**
 * @throws SystemError EOPNOTSUPP for a host whose guests no published kernel can be, and for a VM without virtio; as
 *   `offerDevice`.
 */
export const exportVsock: ExportMaker = async (keeper, domain) => {
  refuseVmci(domain);
  const { profile } = keeper.world.network;
  if (profile.handshake !== 'two-way') {
    throw new SystemError('EOPNOTSUPP', {
      message: `no kernel speaks vsock as a host of ${profile.name} does`,
      hint: "start the host with another profile: 'vmmctl sim start --profile linux-6.12'",
    });
  }
  const { real, vm, guest } = domain;
  const log = (text: string) => keeper.log.write(`${vm.name}: vsock: ${text}`);
  const device: VsockDevice = new VsockDevice({
    cid: () => guest.cid ?? VMADDR_CID_ANY,
    seqpacket: profile.seqpacket,
    arrived: () => {
      log('a kernel is the guest');
      real.attachVsock(device);
      keeper.digest();
    },
    left: (reason) => {
      log(`the kernel is gone: ${reason}`);
      real.detachVsock(device);
      keeper.digest();
    },
    kick: () => keeper.pump.kick(),
  });
  const path = socketPath(keeper.exports.directory, domain, 'vhost-user-vsock');
  const offered = await offerDevice({ path, device, log, clock: keeper.world.clock });
  return {
    kind: 'vhost-user-vsock',
    paths: [path],
    counters: () => ({ vsockResets: offered.counters.failures }),
    isTaken: () => offered.connected,
    close: () => offered.close(),
  };
};
