/**
 * Packets that wait to be fetched by who captures them: records of a pcap file, in a bounded space. Whoever fetches too
 * slowly loses packets, which are counted; nobody waits for a capture.
 */
import { pcap_sf_pkthdr, writeRecordHeader } from '../abi/pcap.js';
import { virtio_vsock_hdr } from '../abi/virtio-vsock.js';
import { VSOCKMON_VIRTIO_HEADERS, writeMonitorHeaders } from '../abi/vsockmon.js';

/** What may wait, bytes. */
export const CAPTURE_SPACE = 16 * 1024 * 1024;
/** Memory is taken in pieces of that size, bytes; the longest record fits. */
const PIECE = 1024 * 1024;

const SRC_PORT = virtio_vsock_hdr.offset('src_port');
const DST_PORT = virtio_vsock_hdr.offset('dst_port');

export interface CaptureOptions {
  /** Only packets from or to that port. */
  port: number | undefined;
  /** Frames are cut to so many bytes; not less than the headers have. */
  snapLength: number;
  /** Microseconds since 1970. */
  nowUs(): number;
  /** Bytes that may wait; CAPTURE_SPACE when left out. */
  space?: number;
}

export class Capture {
  readonly #options: CaptureOptions;
  /** Pieces that are full, and not yet fetched. */
  readonly #full: Uint8Array[] = [];
  #piece = new Uint8Array(0);
  /** What is not yet fetched of the piece. */
  #start = 0;
  #end = 0;
  /** Bytes that wait. */
  #waiting = 0;
  #ended = false;
  #wake: (() => void) | undefined;
  readonly #onEnd: (() => void)[] = [];
  /** Packets that found no room. */
  lost = 0;

  constructor(options: CaptureOptions) {
    this.#options = options;
  }

  /** Nothing is added any more, and nothing is left. */
  get over(): boolean {
    return this.#ended && this.#waiting === 0;
  }

  /** Takes a packet of virtio, of which nothing is kept but a copy. */
  add(header: Uint8Array, payload: Uint8Array): void {
    if (this.#ended || !this.#isWanted(header)) return;
    const { snapLength, space = CAPTURE_SPACE } = this.#options;
    const length = VSOCKMON_VIRTIO_HEADERS + payload.length;
    const captured = Math.min(length, snapLength);
    const size = pcap_sf_pkthdr.size + captured;
    if (this.#waiting + size > space) {
      this.lost++;
      return;
    }
    const at = this.#room(size);
    writeRecordHeader(this.#piece, at, { timeUs: this.#options.nowUs(), captured, length });
    const frame = at + pcap_sf_pkthdr.size;
    writeMonitorHeaders(this.#piece, frame, header);
    const kept = payload.subarray(0, captured - VSOCKMON_VIRTIO_HEADERS);
    this.#piece.set(kept, frame + VSOCKMON_VIRTIO_HEADERS);
    this.#waiting += size;
    this.#wake?.();
  }

  /** Calls back once when nothing is added any more. */
  onEnd(action: () => void): void {
    this.#onEnd.push(action);
  }

  /** Nothing is added any more; what waits can still be fetched. */
  end(): void {
    this.#ended = true;
    for (const action of this.#onEnd.splice(0)) action();
    this.#wake?.();
  }

  /** Resolves when there is something to fetch, or nothing will come. One may wait at a time. */
  async ready(): Promise<void> {
    if (this.#waiting > 0 || this.#ended) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
  }

  /** Whole records, the oldest first; empty when none waits. */
  take(): Uint8Array {
    const records = this.#full.shift() ?? this.#rest();
    this.#waiting -= records.length;
    return records;
  }

  #isWanted(header: Uint8Array): boolean {
    const { port } = this.#options;
    if (port === undefined) return true;
    const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
    return view.getUint32(SRC_PORT, true) === port || view.getUint32(DST_PORT, true) === port;
  }

  /** Where a record of that size begins in the piece. */
  #room(size: number): number {
    if (this.#piece.length - this.#end < size) {
      if (this.#end > this.#start) this.#full.push(this.#rest());
      this.#piece = Buffer.allocUnsafeSlow(PIECE);
      this.#start = 0;
      this.#end = 0;
    }
    const at = this.#end;
    this.#end += size;
    return at;
  }

  /** What waits in the piece; what comes next is put behind it. */
  #rest(): Uint8Array {
    const rest = this.#piece.subarray(this.#start, this.#end);
    this.#start = this.#end;
    return rest;
  }
}
