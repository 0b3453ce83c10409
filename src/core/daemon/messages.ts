/** Messages on a stream connection, for sockets that keep boundaries: a u32 length (little endian), then the bytes. */
import { SystemError } from '../abi/errno.js';

/** The largest message, bytes: more than any profile's buffer maximum by default. */
export const MAX_MESSAGE = 16 * 1024 * 1024;

const LENGTH = 4;

export function encodeMessage(bytes: Uint8Array): Uint8Array {
  const message = Buffer.allocUnsafe(LENGTH + bytes.length);
  message.writeUInt32LE(bytes.length, 0);
  message.set(bytes, LENGTH);
  return message;
}

/** Turns chunks, cut anywhere, into messages. */
export class MessageReader {
  #parts: Uint8Array[] = [];
  #length = 0;
  #needed = LENGTH;

  /** Whether the end of input would cut a message. */
  get partial(): boolean {
    return this.#length > 0;
  }

  /** @throws SystemError EMSGSIZE for a message longer than MAX_MESSAGE. */
  push(chunk: Uint8Array): Uint8Array[] {
    this.#parts.push(chunk);
    this.#length += chunk.length;
    const messages: Uint8Array[] = [];
    if (this.#length < this.#needed) return messages;
    const data = this.#parts.length === 1 ? asBuffer(chunk) : Buffer.concat(this.#parts);
    let at = 0;
    this.#needed = LENGTH;
    while (data.length - at >= this.#needed) {
      const size = data.readUInt32LE(at);
      if (size > MAX_MESSAGE) throw new SystemError('EMSGSIZE');
      this.#needed = LENGTH + size;
      if (data.length - at < this.#needed) break;
      messages.push(data.subarray(at + LENGTH, at + this.#needed));
      at += this.#needed;
      this.#needed = LENGTH;
    }
    this.#length = data.length - at;
    this.#parts = this.#length > 0 ? [data.subarray(at)] : [];
    return messages;
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
