/**
 * VirtualBox's guest device as programs see it. Mirrors Linux include/uapi/linux/vboxguest.h; the bits of the host's
 * features are those of VirtualBox' own VMMDev.h.
 */
import { i32, struct, u32 } from './layout.js';
import { _IOWR } from './linux-ioctl.js';

const VBG_IOCTL_TYPE = 0x56;

export const VBG_IOCTL_HDR_VERSION = 0x10001;
export const VBG_IOCTL_HDR_TYPE_DEFAULT = 0;
/** Version of the interface, major in the upper 16 bits. */
export const VBG_IOC_VERSION = 0x00010000;

/** Begins the argument of every call. `rc` is a status of VirtualBox, negative for a failure. */
export const vbg_ioctl_hdr = struct('vbg_ioctl_hdr', {
  size_in: u32,
  version: u32,
  type: u32,
  rc: i32,
  size_out: u32,
  reserved: u32,
});

/** What is asked: struct vbg_ioctl_driver_version_info with the member `in` of its union. */
export const vbg_ioctl_driver_version_info_in = struct('vbg_ioctl_driver_version_info_in', {
  hdr: vbg_ioctl_hdr,
  req_version: u32,
  min_version: u32,
  reserved1: u32,
  reserved2: u32,
});

/** What is answered, with the member `out`, which is the longer one. */
export const vbg_ioctl_driver_version_info_out = struct('vbg_ioctl_driver_version_info_out', {
  hdr: vbg_ioctl_hdr,
  session_version: u32,
  driver_version: u32,
  driver_revision: u32,
  reserved1: u32,
  reserved2: u32,
});

/** Agrees on the version of the interface. It changes nothing for others. */
export const VBG_IOCTL_DRIVER_VERSION_INFO = _IOWR(
  VBG_IOCTL_TYPE,
  0,
  vbg_ioctl_driver_version_info_out,
);

/** The host's features, as masks. */
export const VMMDEV_HVF = {
  VMMDEV_HVF_HGCM_PHYS_PAGE_LIST: 0x1,
  VMMDEV_HVF_HGCM_EMBEDDED_BUFFERS: 0x2,
  VMMDEV_HVF_HGCM_CONTIGUOUS_PAGE_LIST: 0x4,
  VMMDEV_HVF_HGCM_NO_BOUNCE_PAGE_LIST: 0x8,
  VMMDEV_HVF_FAST_IRQ_ACK: 0x80000000,
} as const;
