/** Where kernels differ in AF_VSOCK: each difference is a named field, and a profile is one kernel's set of them. */

export interface VsockProfile {
  readonly name: ProfileName;
  /** Packets of a connected socket must come from its stored peer; others are answered with RST. */
  readonly checksSource: boolean;
  /** The send window is also bounded by the sender's own buffer size: so in all stable Linux since 2026. */
  readonly boundsCredit: boolean;
  /** What a receiver does with more bytes than it gave credit for. */
  readonly overrun: 'reset' | 'drop' | 'accept';
  /** The error for a seqpacket message larger than the peer's buffer. */
  readonly oversizedMessage: 'EMSGSIZE' | 'ENOMEM';
  readonly seqpacket: boolean;
  readonly datagrams: boolean;
  /** Connection by REQUEST, RESPONSE (two), or with a cookie and a final ACK (three). */
  readonly handshake: 'two-way' | 'three-way';
  /** What a packet for no socket gets. */
  readonly unknownSocket: 'reset' | 'ignore';
  /** Whether close() waits for the peer's RST. */
  readonly confirmsClose: boolean;
  /** When a reader tells its peer of freed space: by Linux's thresholds, or after each read. */
  readonly creditUpdates: 'thresholds' | 'always';
}

export type ProfileName = 'linux-6.12' | 'linux-6.1' | 'patchset-2015';

const LINUX_6_12: VsockProfile = {
  name: 'linux-6.12',
  checksSource: true,
  boundsCredit: true,
  overrun: 'reset',
  oversizedMessage: 'EMSGSIZE',
  seqpacket: true,
  datagrams: false,
  handshake: 'two-way',
  unknownSocket: 'reset',
  confirmsClose: true,
  creditUpdates: 'thresholds',
};

export const VSOCK_PROFILES: Readonly<Record<ProfileName, VsockProfile>> = {
  'linux-6.12': LINUX_6_12,
  'linux-6.1': {
    ...LINUX_6_12,
    name: 'linux-6.1',
    checksSource: false,
    overrun: 'drop',
    oversizedMessage: 'ENOMEM',
  },
  'patchset-2015': {
    ...LINUX_6_12,
    name: 'patchset-2015',
    checksSource: false,
    boundsCredit: false,
    overrun: 'accept',
    seqpacket: false,
    datagrams: true,
    handshake: 'three-way',
    unknownSocket: 'ignore',
    confirmsClose: false,
    creditUpdates: 'always',
  },
};

/**
 * Who may connect to whom through the switch.
 * - `isolated`: guest to guest is dropped without an answer, as the kernel's vhost does it.
 * - `refuse`: guest to guest is answered with RST.
 * - `siblings`: guests reach each other.
 * - `host-connects`: only the host establishes connections; a guest's REQUEST is dropped (the policy of 2015).
 */
export type VsockPolicy = 'isolated' | 'refuse' | 'siblings' | 'host-connects';

export const VSOCK_POLICIES: readonly VsockPolicy[] = [
  'isolated',
  'refuse',
  'siblings',
  'host-connects',
];

/** The policy that goes with a profile when none is named. */
export function defaultPolicy(profile: ProfileName): VsockPolicy {
  return profile === 'patchset-2015' ? 'host-connects' : 'isolated';
}
