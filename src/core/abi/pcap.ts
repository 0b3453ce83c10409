/**
 * Files of captured packets, as tcpdump and Wireshark read them. Mirrors draft-ietf-opsawg-pcap; written in little
 * endian and with microseconds, which every reader takes.
 */
import { i32, struct, u16, u32 } from './layout.js';

export const PCAP_MAGIC = 0xa1b2c3d4;
export const PCAP_VERSION_MAJOR = 2;
export const PCAP_VERSION_MINOR = 4;
/** Packets with the header of vsockmon before them. Source: tcpdump.org/linktypes.html. */
export const LINKTYPE_VSOCK = 271;
/** The longest packet that readers take, bytes. Source: libpcap pcap-int.h. */
export const MAXIMUM_SNAPLEN = 262144;

/** What a file begins with. `snaplen` is the length that longer packets are cut to, bytes. */
export const pcap_file_header = struct('pcap_file_header', {
  magic: u32,
  version_major: u16,
  version_minor: u16,
  thiszone: i32,
  sigfigs: u32,
  snaplen: u32,
  linktype: u32,
});

/** What stands before each packet: its time, how much of it follows, and how long it was. */
export const pcap_sf_pkthdr = struct('pcap_sf_pkthdr', {
  ts_sec: u32,
  ts_usec: u32,
  caplen: u32,
  len: u32,
});

export interface PcapRecord {
  /** Microseconds since 1970. */
  timeUs: number;
  /** What was captured of the packet. */
  frame: Uint8Array;
  /** Bytes of the packet before it was cut. */
  length: number;
}

const SECOND_US = 1_000_000;
const AT = {
  sec: pcap_sf_pkthdr.offset('ts_sec'),
  usec: pcap_sf_pkthdr.offset('ts_usec'),
  caplen: pcap_sf_pkthdr.offset('caplen'),
  len: pcap_sf_pkthdr.offset('len'),
};

/** What a file of vsock packets begins with. */
export function pcapFileHeader(snapLength: number): Uint8Array {
  return pcap_file_header.encode({
    magic: PCAP_MAGIC,
    version_major: PCAP_VERSION_MAJOR,
    version_minor: PCAP_VERSION_MINOR,
    snaplen: snapLength,
    linktype: LINKTYPE_VSOCK,
  });
}

/** Writes a record's header in place. Every captured packet passes here, so it does without the generic encoder. */
export function writeRecordHeader(
  into: Uint8Array,
  at: number,
  { timeUs, captured, length }: { timeUs: number; captured: number; length: number },
): void {
  const view = new DataView(into.buffer, into.byteOffset + at, pcap_sf_pkthdr.size);
  view.setUint32(AT.sec, Math.floor(timeUs / SECOND_US), true);
  view.setUint32(AT.usec, Math.floor(timeUs % SECOND_US), true);
  view.setUint32(AT.caplen, captured, true);
  view.setUint32(AT.len, length, true);
}

/** The bytes of records, in one piece. */
export function encodeRecords(records: readonly PcapRecord[]): Uint8Array {
  const sizes = records.map(({ frame }) => pcap_sf_pkthdr.size + frame.length);
  const data = new Uint8Array(sizes.reduce((sum, size) => sum + size, 0));
  let at = 0;
  for (const { timeUs, frame, length } of records) {
    writeRecordHeader(data, at, { timeUs, captured: frame.length, length });
    data.set(frame, at + pcap_sf_pkthdr.size);
    at += pcap_sf_pkthdr.size + frame.length;
  }
  return data;
}

/** Whole records, one after the other; their frames view `data`. @throws RangeError when one is cut. */
export function decodeRecords(data: Uint8Array): PcapRecord[] {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const records: PcapRecord[] = [];
  for (let at = 0; at < data.length; ) {
    const seconds = view.getUint32(at + AT.sec, true);
    const captured = view.getUint32(at + AT.caplen, true);
    const start = at + pcap_sf_pkthdr.size;
    if (start + captured > data.length) throw new RangeError('a record is longer than its data');
    records.push({
      timeUs: seconds * SECOND_US + view.getUint32(at + AT.usec, true),
      frame: data.subarray(start, start + captured),
      length: view.getUint32(at + AT.len, true),
    });
    at = start + captured;
  }
  return records;
}
