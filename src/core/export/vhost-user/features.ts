/** What the server has for every device, and the two ways in which a request can be wrong. */
import {
  VHOST_F_LOG_ALL,
  VHOST_USER_F_PROTOCOL_FEATURES,
  VHOST_USER_PROTOCOL_F_BACKEND_REQ,
  VHOST_USER_PROTOCOL_F_CONFIG,
  VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS,
  VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS,
  VHOST_USER_PROTOCOL_F_LOG_SHMFD,
  VHOST_USER_PROTOCOL_F_MQ,
  VHOST_USER_PROTOCOL_F_REPLY_ACK,
  VHOST_USER_PROTOCOL_F_RESET_DEVICE,
} from '../../abi/vhost-user.js';
import {
  VIRTIO_F_VERSION_1,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '../../abi/virtio.js';

/** Whether a bit is set in a word of features. */
export function hasBit(word: bigint, number: number): boolean {
  return ((word >> BigInt(number)) & 1n) !== 0n;
}

function bits(...numbers: number[]): bigint {
  return numbers.reduce((word, number) => word | (1n << BigInt(number)), 0n);
}

/** While it is agreed to, written pages are marked. */
export const LOG_ALL = bits(VHOST_F_LOG_ALL);

export const TRANSPORT_FEATURES = bits(
  VHOST_F_LOG_ALL,
  VIRTIO_F_VERSION_1,
  VIRTIO_RING_F_INDIRECT_DESC,
  VIRTIO_RING_F_EVENT_IDX,
  VHOST_USER_F_PROTOCOL_FEATURES,
);

export const PROTOCOL_FEATURES = bits(
  VHOST_USER_PROTOCOL_F_MQ,
  VHOST_USER_PROTOCOL_F_LOG_SHMFD,
  VHOST_USER_PROTOCOL_F_REPLY_ACK,
  VHOST_USER_PROTOCOL_F_BACKEND_REQ,
  VHOST_USER_PROTOCOL_F_CONFIG,
  VHOST_USER_PROTOCOL_F_RESET_DEVICE,
  VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS,
  VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS,
);

/** A request that is well formed and can't be done; the front-end is told, if it asked to be. */
export class Refusal extends Error {}

/** A request that no front-end may make; it ends the session. */
export class Violation extends Error {}
