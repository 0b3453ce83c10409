/**
 * VirtualBox's guest device as programs see it. Mirrors Linux include/uapi/linux/vboxguest.h, with the limits of
 * drivers/virt/vboxguest/vboxguest_core.h. Of a union, `..._in` is what is asked and `..._out` what is answered; the
 * longer one has the size of the whole. A struct that ends in an array is described without it.
 */
import { HGCMServiceLocation, VMMDEV_HGCM_PARM_TYPE } from './hgcm.js';
import { bytes, i32, struct, u8, u16, u32 } from './layout.js';
import { _IO, _IOC, _IOC_READ, _IOC_WRITE, _IOWR } from './linux-ioctl.js';

const VBG_IOCTL_TYPE = 0x56;

export const VBG_IOCTL_HDR_VERSION = 0x10001;
/** The type of every call but the VMMDev requests', which have a VMMDEV_REQUEST_TYPE there. */
export const VBG_IOCTL_HDR_TYPE_DEFAULT = 0;
/** Version of the interface, major in the upper 16 bits. */
export const VBG_IOC_VERSION = 0x00010000;

/** Bytes of the longest argument; a longer one is E2BIG. */
export const VBG_IOCTL_MAX_SIZE = 16 * 1024 * 1024;
/** Clients of HGCM that one open node may have. */
export const VBG_HGCM_CLIENTS_PER_SESSION = 64;
/** Bytes of one buffer of a call of HGCM, in a program's memory. */
export const VBG_MAX_HGCM_USER_PARM = 24 * 1024 * 1024;
/** The same in the kernel's memory. */
export const VBG_MAX_HGCM_KERNEL_PARM = 16 * 1024 * 1024;
/** Bytes of a line for the log, its NUL included. */
export const VBG_LOG_BUF_SIZE = 128;

/** Begins the argument of every call. `rc` is a status of VirtualBox, negative for a failure. */
export const vbg_ioctl_hdr = struct('vbg_ioctl_hdr', {
  size_in: u32,
  version: u32,
  type: u32,
  rc: i32,
  size_out: u32,
  reserved: u32,
});

const hdr = vbg_ioctl_hdr;

/** What is asked: struct vbg_ioctl_driver_version_info with the member `in` of its union. */
export const vbg_ioctl_driver_version_info_in = struct('vbg_ioctl_driver_version_info_in', {
  hdr,
  req_version: u32,
  min_version: u32,
  reserved1: u32,
  reserved2: u32,
});

/** What is answered, with the member `out`, which is the longer one. */
export const vbg_ioctl_driver_version_info_out = struct('vbg_ioctl_driver_version_info_out', {
  hdr,
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

/**
 * Passes a request to the host; `size` in bytes, that of the whole request. The header of the call takes the place of
 * the request's own. From 1024 bytes on, use VBG_IOCTL_VMMDEV_REQUEST_BIG.
 */
export function VBG_IOCTL_VMMDEV_REQUEST(size: number): number {
  return _IOC(_IOC_READ | _IOC_WRITE, VBG_IOCTL_TYPE, 2, size);
}
export const VBG_IOCTL_VMMDEV_REQUEST_BIG = _IO(VBG_IOCTL_TYPE, 3);
/** As older headers have it, which the driver takes too. */
export const VBG_IOCTL_VMMDEV_REQUEST_BIG_ALT = _IOC(_IOC_READ | _IOC_WRITE, VBG_IOCTL_TYPE, 3, 0);

export const vbg_ioctl_hgcm_connect_in = struct('vbg_ioctl_hgcm_connect_in', {
  hdr,
  loc: HGCMServiceLocation,
});
export const vbg_ioctl_hgcm_connect_out = struct('vbg_ioctl_hgcm_connect_out', {
  hdr,
  client_id: u32,
});
export const VBG_IOCTL_HGCM_CONNECT = _IOWR(VBG_IOCTL_TYPE, 4, vbg_ioctl_hgcm_connect_in);

export const vbg_ioctl_hgcm_disconnect_in = struct('vbg_ioctl_hgcm_disconnect_in', {
  hdr,
  client_id: u32,
});
export const VBG_IOCTL_HGCM_DISCONNECT = _IOWR(VBG_IOCTL_TYPE, 5, vbg_ioctl_hgcm_disconnect_in);

/** Parameters follow: HGCMFunctionParameter32 or HGCMFunctionParameter64. A timeout of 0xffffffff never ends. */
export const vbg_ioctl_hgcm_call = struct('vbg_ioctl_hgcm_call', {
  hdr,
  client_id: u32,
  function: u32,
  timeout_ms: u32,
  interruptible: u8,
  reserved: u8,
  parm_count: u16,
});

/** Of a 32-bit program; `size` in bytes, that of the call with its parameters. */
export function VBG_IOCTL_HGCM_CALL_32(size: number): number {
  return _IOC(_IOC_READ | _IOC_WRITE, VBG_IOCTL_TYPE, 6, size);
}
/** Of a 64-bit program; `size` in bytes, that of the call with its parameters. */
export function VBG_IOCTL_HGCM_CALL_64(size: number): number {
  return _IOC(_IOC_READ | _IOC_WRITE, VBG_IOCTL_TYPE, 7, size);
}

/** The types of parameters that a program may pass. */
export const VBG_USER_PARM_TYPES: readonly number[] = [
  VMMDEV_HGCM_PARM_TYPE.VMMDevHGCMParmType_32bit,
  VMMDEV_HGCM_PARM_TYPE.VMMDevHGCMParmType_64bit,
  VMMDEV_HGCM_PARM_TYPE.VMMDevHGCMParmType_LinAddr,
  VMMDEV_HGCM_PARM_TYPE.VMMDevHGCMParmType_LinAddr_In,
  VMMDEV_HGCM_PARM_TYPE.VMMDevHGCMParmType_LinAddr_Out,
];

/** Text follows. */
export const vbg_ioctl_log = struct('vbg_ioctl_log', { hdr });
/** The header's VBG_IOCTL_LOG(s), which leaves the size out. */
export const VBG_IOCTL_LOG = _IO(VBG_IOCTL_TYPE, 9);
/** As older headers have it, which the driver takes too; `size` in bytes. */
export function VBG_IOCTL_LOG_ALT(size: number): number {
  return _IOC(_IOC_READ | _IOC_WRITE, VBG_IOCTL_TYPE, 9, size);
}

/** Events as in VMMDEV_EVENT. A timeout of 0xffffffff never ends. */
export const vbg_ioctl_wait_for_events_in = struct('vbg_ioctl_wait_for_events_in', {
  hdr,
  timeout_ms: u32,
  events: u32,
});
export const vbg_ioctl_wait_for_events_out = struct('vbg_ioctl_wait_for_events_out', {
  hdr,
  events: u32,
});
export const VBG_IOCTL_WAIT_FOR_EVENTS = _IOWR(VBG_IOCTL_TYPE, 10, vbg_ioctl_wait_for_events_in);
/** Ends the waits of this open node, also those to come. A bare header. */
export const VBG_IOCTL_INTERRUPT_ALL_WAIT_FOR_EVENTS = _IOWR(VBG_IOCTL_TYPE, 11, vbg_ioctl_hdr);

/** Events as in VMMDEV_EVENT. */
export const vbg_ioctl_change_filter_in = struct('vbg_ioctl_change_filter_in', {
  hdr,
  or_mask: u32,
  not_mask: u32,
});
export const VBG_IOCTL_CHANGE_FILTER_MASK = _IOWR(VBG_IOCTL_TYPE, 12, vbg_ioctl_change_filter_in);

/** Capabilities as in VMMDEV_GUEST_SUPPORTS. */
export const vbg_ioctl_acquire_guest_caps_in = struct('vbg_ioctl_acquire_guest_caps_in', {
  hdr,
  flags: u32,
  or_mask: u32,
  not_mask: u32,
});
/** In the flags: capabilities are only switched to acquire mode. */
export const VBGL_IOC_AGC_FLAGS_CONFIG_ACQUIRE_MODE = 0x1;
export const VBGL_IOC_AGC_FLAGS_VALID_MASK = 0x1;
export const VBG_IOCTL_ACQUIRE_GUEST_CAPABILITIES = _IOWR(
  VBG_IOCTL_TYPE,
  13,
  vbg_ioctl_acquire_guest_caps_in,
);

/** Capabilities as in VMMDEV_GUEST_SUPPORTS. */
export const vbg_ioctl_set_guest_caps_in = struct('vbg_ioctl_set_guest_caps_in', {
  hdr,
  or_mask: u32,
  not_mask: u32,
});
/** What this open node has set, and what the host was told. */
export const vbg_ioctl_set_guest_caps_out = struct('vbg_ioctl_set_guest_caps_out', {
  hdr,
  session_caps: u32,
  global_caps: u32,
});
export const VBG_IOCTL_CHANGE_GUEST_CAPABILITIES = _IOWR(
  VBG_IOCTL_TYPE,
  14,
  vbg_ioctl_set_guest_caps_out,
);

/** Chunks of VMMDEV_MEMORY_BALLOON_CHUNK_SIZE bytes. */
export const vbg_ioctl_check_balloon_out = struct('vbg_ioctl_check_balloon_out', {
  hdr,
  balloon_chunks: u32,
  handle_in_r3: u8,
  padding: bytes(3),
});
export const VBG_IOCTL_CHECK_BALLOON = _IOWR(VBG_IOCTL_TYPE, 17, vbg_ioctl_check_balloon_out);

export const vbg_ioctl_write_coredump_in = struct('vbg_ioctl_write_coredump_in', {
  hdr,
  flags: u32,
});
export const VBG_IOCTL_WRITE_CORE_DUMP = _IOWR(VBG_IOCTL_TYPE, 19, vbg_ioctl_write_coredump_in);

/** The exact `size_in` and `size_out` of the calls that have such, in bytes. */
export const VBG_IOCTL_SIZES = {
  VBG_IOCTL_DRIVER_VERSION_INFO: {
    in: vbg_ioctl_driver_version_info_in.size,
    out: vbg_ioctl_driver_version_info_out.size,
  },
  VBG_IOCTL_HGCM_CONNECT: {
    in: vbg_ioctl_hgcm_connect_in.size,
    out: vbg_ioctl_hgcm_connect_out.size,
  },
  VBG_IOCTL_HGCM_DISCONNECT: { in: vbg_ioctl_hgcm_disconnect_in.size, out: hdr.size },
  VBG_IOCTL_WAIT_FOR_EVENTS: {
    in: vbg_ioctl_wait_for_events_in.size,
    out: vbg_ioctl_wait_for_events_out.size,
  },
  VBG_IOCTL_INTERRUPT_ALL_WAIT_FOR_EVENTS: { in: hdr.size, out: hdr.size },
  VBG_IOCTL_CHANGE_FILTER_MASK: { in: vbg_ioctl_change_filter_in.size, out: hdr.size },
  VBG_IOCTL_ACQUIRE_GUEST_CAPABILITIES: { in: vbg_ioctl_acquire_guest_caps_in.size, out: hdr.size },
  VBG_IOCTL_CHANGE_GUEST_CAPABILITIES: {
    in: vbg_ioctl_set_guest_caps_in.size,
    out: vbg_ioctl_set_guest_caps_out.size,
  },
  VBG_IOCTL_CHECK_BALLOON: { in: hdr.size, out: vbg_ioctl_check_balloon_out.size },
  VBG_IOCTL_WRITE_CORE_DUMP: { in: vbg_ioctl_write_coredump_in.size, out: hdr.size },
} as const;

/** Calls that only VirtualBox' own driver knows (its VBoxGuest.h); Linux' driver answers ENOTTY. */
export const VBGL_IOCTLS = {
  VBGL_IOCTL_GET_VMMDEV_IO_INFO: _IOWR(VBG_IOCTL_TYPE, 1, { size: 40 }),
  VBGL_IOCTL_SET_MOUSE_STATUS: _IOWR(VBG_IOCTL_TYPE, 15, { size: 28 }),
  VBGL_IOCTL_SET_MOUSE_NOTIFY_CALLBACK: _IOWR(VBG_IOCTL_TYPE, 16, { size: 40 }),
  VBGL_IOCTL_CHANGE_BALLOON: _IOWR(VBG_IOCTL_TYPE, 18, { size: 40 }),
  VBGL_IOCTL_IDC_HGCM_FAST_CALL: _IOWR(VBG_IOCTL_TYPE, 61, { size: 52 }),
  VBGL_IOCTL_IDC_DISCONNECT: _IOWR(VBG_IOCTL_TYPE, 62, { size: 32 }),
  VBGL_IOCTL_IDC_CONNECT: _IOWR(VBG_IOCTL_TYPE, 63, { size: 56 }),
} as const;
