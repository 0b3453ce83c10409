/** Packet sockets of Linux, which see what passes a network device. Mirrors include/uapi/linux/if_packet.h. */
import { bytes, i32, struct, u8, u16, u32 } from './layout.js';

export const AF_PACKET = 17;
export const SOL_PACKET = 263;
/** Reads a tpacket_stats, and clears it. */
export const PACKET_STATISTICS = 6;
/** All protocols; where it is used it stands in network order. Source: include/uapi/linux/if_ether.h. */
export const ETH_P_ALL = 0x0003;
export const ETH_P_ALL_NETWORK_ORDER = ETH_P_ALL << 8;

export const sockaddr_ll = struct('sockaddr_ll', {
  sll_family: u16,
  /** Network order. */
  sll_protocol: u16,
  sll_ifindex: i32,
  sll_hatype: u16,
  sll_pkttype: u8,
  sll_halen: u8,
  sll_addr: bytes(8),
});

/** Packets that came since the last look, and how many of them were lost since nobody fetched them in time. */
export const tpacket_stats = struct('tpacket_stats', { tp_packets: u32, tp_drops: u32 });

/** ioctl(2): when the packet came that was received last, as a timeval64. Source: include/uapi/linux/sockios.h. */
export const SIOCGSTAMP_NEW = 0x80108906;
