/** Offers a VM's virtio socket device to a hypervisor: whoever takes it is the VM's guest. */
import { VMADDR_CID_ANY } from '../../abi/vm-sockets.js';
import type { ExportMaker } from '../exports.js';
import { requireDrivable } from './kernel-guest.js';
import { offerDevice } from './server.js';
import { socketPath } from './socket-path.js';
import { VsockDevice } from './vsock-device.js';

/** @throws SystemError as `requireDrivable` and `offerDevice`. */
export const exportVsock: ExportMaker = async (keeper, domain) => {
  const { profile } = keeper.world.network;
  requireDrivable(domain, 'vhost-user-vsock', profile);
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
