/** The ioctls of vhost's nodes. Mirrors Linux include/uapi/linux/vhost.h and vhost_types.h. */
import { i32, u64 } from './layout.js';
import { _IO, _IOR, _IOW } from './linux-ioctl.js';

export const VHOST_VIRTIO = 0xaf;

/** The features of the device as a u64, a bit each. */
export const VHOST_GET_FEATURES = _IOR(VHOST_VIRTIO, 0x00, u64);
/** Takes a u64. EOPNOTSUPP for a bit that the device does not have. */
export const VHOST_SET_FEATURES = _IOW(VHOST_VIRTIO, 0x00, u64);
/** Makes the caller the owner of the open node. EBUSY when it has one. */
export const VHOST_SET_OWNER = _IO(VHOST_VIRTIO, 0x01);
/** The features of vhost itself as a u64. */
export const VHOST_GET_BACKEND_FEATURES = _IOR(VHOST_VIRTIO, 0x26, u64);

/** Takes the CID as a u64. EINVAL for a reserved one, EADDRINUSE for one in use. */
export const VHOST_VSOCK_SET_GUEST_CID = _IOW(VHOST_VIRTIO, 0x60, u64);
/** Takes an int, 0 or 1. EPERM without an owner, EFAULT without rings. */
export const VHOST_VSOCK_SET_RUNNING = _IOW(VHOST_VIRTIO, 0x61, i32);

/** Number of a feature's bit. */
export const VHOST_F_LOG_ALL = 26;
