/**
 * The service of guest properties, VBoxGuestPropSvc. Mirrors VirtualBox'
 * include/VBox/HostServices/GuestPropertySvc.h.
 */

/** Functions that a guest may call. */
export const GUEST_PROP_FN = {
  /** Name, buffer for value and flags, timestamp (64 bits, out), bytes needed (32 bits, out). */
  GUEST_PROP_FN_GET_PROP: 1,
  /** Name, value, flags; the flags may be left out. */
  GUEST_PROP_FN_SET_PROP: 2,
  /** Name, value. */
  GUEST_PROP_FN_SET_PROP_VALUE: 3,
  /** Name. */
  GUEST_PROP_FN_DEL_PROP: 4,
  /** Patterns, buffer, bytes needed (32 bits, out). */
  GUEST_PROP_FN_ENUM_PROPS: 5,
  /** Patterns, timestamp (64 bits, both ways), buffer, bytes needed (32 bits, out). */
  GUEST_PROP_FN_GET_NOTIFICATION: 6,
} as const;

/** Functions that the host calls itself. */
export const GUEST_PROP_FN_HOST = {
  GUEST_PROP_FN_HOST_SET_PROPS: 1,
  GUEST_PROP_FN_HOST_GET_PROP: 2,
  GUEST_PROP_FN_HOST_SET_PROP: 3,
  GUEST_PROP_FN_HOST_SET_PROP_VALUE: 4,
  GUEST_PROP_FN_HOST_DEL_PROP: 5,
  GUEST_PROP_FN_HOST_ENUM_PROPS: 6,
  GUEST_PROP_FN_HOST_SET_GLOBAL_FLAGS: 7,
} as const;

/** Flags of a property, as masks; READONLY is both RDONLY bits. */
export const GUEST_PROP_F = {
  GUEST_PROP_F_NILFLAG: 0,
  /** Gone when the VM is powered off. */
  GUEST_PROP_F_TRANSIENT: 2,
  GUEST_PROP_F_RDONLYGUEST: 4,
  GUEST_PROP_F_RDONLYHOST: 8,
  GUEST_PROP_F_READONLY: 12,
  /** Gone when the VM is reset; implies TRANSIENT. */
  GUEST_PROP_F_TRANSRESET: 16,
  GUEST_PROP_F_ALLFLAGS: 30,
} as const;

/** Bytes of a name, its NUL included. */
export const GUEST_PROP_MAX_NAME_LEN = 64;
/** Bytes of a value, its NUL included, in VirtualBox 7.0. */
export const GUEST_PROP_MAX_VALUE_LEN = 1024;
/** The same in VirtualBox 6.1, whose service does not insist on it. */
export const GUEST_PROP_MAX_VALUE_LEN_6 = 128;
/** Bytes of the flags as text, their NUL included. */
export const GUEST_PROP_MAX_FLAGS_LEN = 35;
/** Bytes of a list of patterns. */
export const GUEST_PROP_MAX_PATTERN_LEN = 1024;
/** Properties of a VM. */
export const GUEST_PROP_MAX_PROPS = 256;
/** Changes that the service remembers. */
export const GUEST_PROP_MAX_GUEST_NOTIFICATIONS = 256;
/** Waits of one client at a time. */
export const GUEST_PROP_MAX_GUEST_CONCURRENT_WAITS = 16;
