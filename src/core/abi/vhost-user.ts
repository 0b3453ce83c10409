/**
 * Messages between a virtual machine monitor (the front-end) and a program that is one of its devices (the back-end),
 * over a Unix socket. Mirrors the text "Vhost-user Protocol" of QEMU (docs/interop/vhost-user.rst). Numbers are in
 * the machine's own byte order, which is little endian here. Features are numbers of bits.
 */
import { struct, u32, u64 } from './layout.js';

export const VHOST_USER_GET_FEATURES = 1;
export const VHOST_USER_SET_FEATURES = 2;
export const VHOST_USER_SET_OWNER = 3;
export const VHOST_USER_RESET_OWNER = 4;
export const VHOST_USER_SET_MEM_TABLE = 5;
export const VHOST_USER_SET_LOG_BASE = 6;
export const VHOST_USER_SET_LOG_FD = 7;
export const VHOST_USER_SET_VRING_NUM = 8;
export const VHOST_USER_SET_VRING_ADDR = 9;
export const VHOST_USER_SET_VRING_BASE = 10;
export const VHOST_USER_GET_VRING_BASE = 11;
export const VHOST_USER_SET_VRING_KICK = 12;
export const VHOST_USER_SET_VRING_CALL = 13;
export const VHOST_USER_SET_VRING_ERR = 14;
export const VHOST_USER_GET_PROTOCOL_FEATURES = 15;
export const VHOST_USER_SET_PROTOCOL_FEATURES = 16;
export const VHOST_USER_GET_QUEUE_NUM = 17;
export const VHOST_USER_SET_VRING_ENABLE = 18;
export const VHOST_USER_SEND_RARP = 19;
export const VHOST_USER_NET_SET_MTU = 20;
export const VHOST_USER_SET_BACKEND_REQ_FD = 21;
export const VHOST_USER_IOTLB_MSG = 22;
export const VHOST_USER_SET_VRING_ENDIAN = 23;
export const VHOST_USER_GET_CONFIG = 24;
export const VHOST_USER_SET_CONFIG = 25;
export const VHOST_USER_CREATE_CRYPTO_SESSION = 26;
export const VHOST_USER_CLOSE_CRYPTO_SESSION = 27;
export const VHOST_USER_POSTCOPY_ADVISE = 28;
export const VHOST_USER_POSTCOPY_LISTEN = 29;
export const VHOST_USER_POSTCOPY_END = 30;
export const VHOST_USER_GET_INFLIGHT_FD = 31;
export const VHOST_USER_SET_INFLIGHT_FD = 32;
export const VHOST_USER_GPU_SET_SOCKET = 33;
export const VHOST_USER_RESET_DEVICE = 34;
export const VHOST_USER_VRING_KICK = 35;
export const VHOST_USER_GET_MAX_MEM_SLOTS = 36;
export const VHOST_USER_ADD_MEM_REG = 37;
export const VHOST_USER_REM_MEM_REG = 38;
export const VHOST_USER_SET_STATUS = 39;
export const VHOST_USER_GET_STATUS = 40;

/** Requests of the back-end, on the channel that SET_BACKEND_REQ_FD brought. */
export const VHOST_USER_BACKEND_CONFIG_CHANGE_MSG = 2;
export const VHOST_USER_BACKEND_VRING_CALL = 4;
export const VHOST_USER_BACKEND_VRING_ERR = 5;

export const VHOST_USER_PROTOCOL_F_MQ = 0;
export const VHOST_USER_PROTOCOL_F_LOG_SHMFD = 1;
export const VHOST_USER_PROTOCOL_F_REPLY_ACK = 3;
export const VHOST_USER_PROTOCOL_F_BACKEND_REQ = 5;
export const VHOST_USER_PROTOCOL_F_CONFIG = 9;
export const VHOST_USER_PROTOCOL_F_RESET_DEVICE = 13;
export const VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS = 14;
export const VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15;

/** The feature bit that says that there are protocol features. */
export const VHOST_USER_F_PROTOCOL_FEATURES = 30;

/** The feature bit of a back-end that marks the pages it writes. Source: linux/vhost_types.h. */
export const VHOST_F_LOG_ALL = 26;
/** The bit of vhost_user_vring_addr.flags that wants writes to the used ring marked. */
export const VHOST_VRING_F_LOG = 0;

/** Bits of vhost_user_header.flags: the version is the lowest two. */
export const VHOST_USER_HDR_VERSION_MASK = 3;
export const VHOST_USER_HDR_VERSION = 1;
export const VHOST_USER_HDR_FLAG_REPLY = 4;
export const VHOST_USER_HDR_FLAG_NEED_REPLY = 8;

/** Bits of the number that comes with a ring's descriptor. */
export const VHOST_USER_VRING_INDEX_MASK = 0xff;
export const VHOST_USER_VRING_INVALID_FD_FLAG = 0x100;

/** Regions in one SET_MEM_TABLE. */
export const VHOST_USER_MEM_TABLE_MAX = 8;
/** Bytes of configuration space that one message carries. */
export const VHOST_USER_CONFIG_MAX = 256;

export const vhost_user_header = struct('vhost_user_header', {
  request: u32,
  flags: u32,
  /** Bytes that follow. */
  size: u32,
});

export const vhost_user_vring_state = struct('vhost_user_vring_state', { index: u32, num: u32 });

/** Addresses of the front-end's own memory, but `log`, which is the guest's. */
export const vhost_user_vring_addr = struct('vhost_user_vring_addr', {
  index: u32,
  flags: u32,
  desc: u64,
  used: u64,
  avail: u64,
  log: u64,
});

export const vhost_user_mem_region = struct('vhost_user_mem_region', {
  guest_addr: u64,
  /** Bytes. */
  size: u64,
  user_addr: u64,
  /** Where the region begins in the file of its descriptor. */
  mmap_offset: u64,
});

/** Where the bits for written pages are in the file of the descriptor; bytes. */
export const vhost_user_log = struct('vhost_user_log', { mmap_size: u64, mmap_offset: u64 });

/** Followed by `num` regions. */
export const vhost_user_mem_table = struct('vhost_user_mem_table', { num: u32, padding: u32 });

export const vhost_user_single_mem_region = struct('vhost_user_single_mem_region', {
  padding: u64,
  region: vhost_user_mem_region,
});

/** Followed by `size` bytes. */
export const vhost_user_config_head = struct('vhost_user_config_head', {
  offset: u32,
  size: u32,
  flags: u32,
});
