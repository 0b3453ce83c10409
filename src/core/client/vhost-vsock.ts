/** The host's side of virtio-vsock in the kernel, /dev/vhost-vsock: what it offers, and claiming a CID on it. */
import { fromBytes, i32, toBytes, u64 } from '../abi/layout.js';
import {
  VHOST_F_LOG_ALL,
  VHOST_GET_FEATURES,
  VHOST_SET_OWNER,
  VHOST_VSOCK_SET_GUEST_CID,
  VHOST_VSOCK_SET_RUNNING,
} from '../abi/vhost.js';
import { featureNames, VIRTIO_FEATURES } from '../abi/virtio.js';
import { VIRTIO_VSOCK_F_SEQPACKET } from '../abi/virtio-vsock.js';
import type { DeviceNode } from '../backend/port/node.js';
import type { Machine } from '../backend/port.js';
import { type Answer, nodeProbe, type Probe } from './probe.js';

const PATH = '/dev/vhost-vsock';

const FEATURES: Readonly<Record<string, number>> = {
  ...VIRTIO_FEATURES,
  VIRTIO_VSOCK_F_SEQPACKET,
  VHOST_F_LOG_ALL,
};

export const VHOST_VSOCK_PROBES: readonly Probe[] = [nodeProbe('vhost', PATH, askFeatures)];

async function askFeatures(node: DeviceNode): Promise<Answer> {
  const bits = await vhostFeatures(node);
  const features = featureNames(bits, FEATURES);
  const seqpacket = features.includes('VIRTIO_VSOCK_F_SEQPACKET') ? 'with' : 'without';
  return { detail: `${features.length} features, ${seqpacket} seqpacket`, facts: { features } };
}

/** The features of the device, a bit each. Needs no owner. */
export async function vhostFeatures(node: DeviceNode): Promise<bigint> {
  const { data } = await node.ioctl(VHOST_GET_FEATURES, new Uint8Array(u64.size));
  return fromBytes(u64, data);
}

/** An open /dev/vhost-vsock that belongs to us, as that of a VM belongs to its hypervisor. */
export class VhostVsock {
  readonly #node: DeviceNode;

  private constructor(node: DeviceNode) {
    this.#node = node;
  }

  /** @throws SystemError what opening says, and EBUSY when it has an owner. */
  static async open(machine: Machine): Promise<VhostVsock> {
    const node = await machine.open(PATH);
    try {
      await node.ioctl(VHOST_SET_OWNER, 0);
    } catch (error) {
      await node.close();
      throw error;
    }
    return new VhostVsock(node);
  }

  /**
   * Claims a CID for the guest; the one that it had before is free again.
   * @param cid A u64, so that those can be tried that no guest may have.
   * @throws SystemError EINVAL for 0, 1, 2, 0xffffffff and what has more than 32 bits; EADDRINUSE for the CID of
   * another guest, and for that which this machine has as a guest itself.
   */
  async setGuestCid(cid: bigint): Promise<void> {
    await this.#node.ioctl(VHOST_VSOCK_SET_GUEST_CID, toBytes(u64, cid));
  }

  /** @throws SystemError EFAULT as long as the rings of the device are not set up, which nothing here does. */
  async setRunning(running: boolean): Promise<void> {
    await this.#node.ioctl(VHOST_VSOCK_SET_RUNNING, toBytes(i32, running ? 1 : 0));
  }

  /** Gives the CID back, and resets the guest's connections. */
  close(): Promise<void> {
    return this.#node.close();
  }
}
