/** Where captured packets go: a pcap file, or lines of text or JSON. None takes a batch before it has written the last. */
import { once } from 'node:events';
import { type FileHandle, open } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { renderJson } from '../../cli/view/json.js';
import { encodeRecords, pcapFileHeader } from '../../core/abi/pcap.js';
import type { TappedPacket } from '../../core/backend/port/vsock.js';
import { packetText, readPacket } from '../../core/client/captured-packet.js';

export interface CaptureOutput {
  /** Resolves when all is handed on. Each batch is written at once, so that readers see it. */
  write(packets: readonly TappedPacket[]): Promise<void>;
  close(): Promise<void>;
}

/** A line a packet. */
export class LineOutput implements CaptureOutput {
  readonly #out: Writable;
  readonly #line: (packet: TappedPacket) => string;

  constructor(out: Writable, json: boolean) {
    this.#out = out;
    this.#line = json
      ? (packet) => renderJson(readPacket(packet), false)
      : (packet) => `${packetText(readPacket(packet))}\n`;
  }

  write(packets: readonly TappedPacket[]): Promise<void> {
    return put(this.#out, packets.map(this.#line).join(''));
  }

  async close(): Promise<void> {}
}

/** A pcap file on a stream that somebody else ends. */
export class PcapStream implements CaptureOutput {
  readonly #out: Writable;

  private constructor(out: Writable) {
    this.#out = out;
  }

  static async begin(out: Writable, snapLength: number): Promise<PcapStream> {
    await put(out, pcapFileHeader(snapLength));
    return new PcapStream(out);
  }

  write(packets: readonly TappedPacket[]): Promise<void> {
    return put(this.#out, encodeRecords(packets));
  }

  async close(): Promise<void> {}
}

/** A pcap file. What was in it before is gone. */
export class PcapFile implements CaptureOutput {
  readonly #file: FileHandle;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  /** @throws a system error of Node's. */
  static async create(path: string, snapLength: number): Promise<PcapFile> {
    const file = await open(path, 'w');
    await file.writeFile(pcapFileHeader(snapLength));
    return new PcapFile(file);
  }

  async write(packets: readonly TappedPacket[]): Promise<void> {
    if (packets.length > 0) await this.#file.writeFile(encodeRecords(packets));
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

async function put(out: Writable, data: string | Uint8Array): Promise<void> {
  if (data.length > 0 && !out.write(data)) await once(out, 'drain');
}
