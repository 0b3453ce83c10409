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
    while (this.#length >= this.#needed) {
      const data = Buffer.concat(this.#parts);
      const size = data.readUInt32LE(0);
      if (size > MAX_MESSAGE) throw new SystemError('EMSGSIZE');
      const end = LENGTH + size;
      const complete = data.length >= end;
      if (complete) messages.push(data.subarray(LENGTH, end));
      this.#parts = [complete ? data.subarray(end) : data];
      this.#length = complete ? data.length - end : data.length;
      this.#needed = complete ? LENGTH : end;
    }
    return messages;
  }
}
