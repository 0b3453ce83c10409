/** Offers a VM's memory balloon to a hypervisor. */

import { VMMDEV_MEMORY_BALLOON_CHUNK_SIZE } from '../../abi/vmmdev-memory.js';
import { memoryBytes } from '../../simulator/vmm/vm.js';
import type { ExportMaker } from '../exports.js';
import { BalloonDevice } from './balloon-device.js';
import { requireDrivable } from './kernel-guest.js';
import { offerDevice } from './server.js';
import { socketPath } from './socket-path.js';

/** @throws SystemError as `requireDrivable` and `offerDevice`. */
export const exportBalloon: ExportMaker = async (keeper, domain) => {
  requireDrivable(domain, 'vhost-user-balloon', keeper.world.network.profile);
  const { real, vm, vbox } = domain;
  const { clock, deadlines } = keeper.world;
  const log = (text: string) => keeper.log.write(`${vm.name}: balloon: ${text}`);
  const device: BalloonDevice = new BalloonDevice({
    memoryBytes: () => memoryBytes(vm),
    wallMs: () => clock.wallMs(),
    after: (ms, action) => {
      const deadline = deadlines.schedule(clock.monotonicMs() + ms, action);
      keeper.pump.kick();
      return deadline;
    },
    arrived: () => {
      // What the host wants of the guest does not depend on whose balloon it has.
      const { targetChunks } = vbox.device.balloon;
      device.setTarget(targetChunks * VMMDEV_MEMORY_BALLOON_CHUNK_SIZE);
      real.attachBalloon(device);
      keeper.digest();
    },
    left: (reason) => {
      log(`the driver is gone: ${reason}`);
      real.detachBalloon(device);
      keeper.digest();
    },
  });
  const path = socketPath(keeper.exports.directory, domain, 'vhost-user-balloon');
  const offered = await offerDevice({ path, device, log, clock });
  return {
    kind: 'vhost-user-balloon',
    paths: [path],
    counters: () => {
      const { inflated, deflated, reported, released } = device.counters;
      return {
        balloonInflated: inflated,
        balloonDeflated: deflated,
        balloonReported: reported,
        balloonReleased: released,
        balloonResets: offered.counters.failures,
      };
    },
    isTaken: () => offered.connected,
    close: () => offered.close(),
  };
};
