/**
 * The protocol between vmmctl and the process that keeps a simulated host alive.
 *
 * A connection begins with one line each way, which stays readable to every version:
 *   client: `VMMCTL/1 control {json}` or `VMMCTL/1 stream TOKEN`
 *   daemon: `VMMCTL/1 ok {json}` or `VMMCTL/1 error {json}`
 * A stream connection is raw bytes from then on. A control connection carries frames: two u32 (little endian),
 * the lengths of a JSON text and of the bytes that go with it, then both.
 */
import { type ErrorCode, isErrorCode, SystemError } from '../abi/errno.js';
import { VmciResultError } from '../abi/vmci-errors.js';

export const PROTOCOL = 1;

/** The longest first line, bytes. */
export const MAX_HELLO = 4096;
/** The longest JSON text of a frame, bytes: a list of ten thousand VMs fits. */
export const MAX_JSON = 16 * 1024 * 1024;
/** The most bytes that go with a frame: an ioctl's argument, and what it points to. */
export const MAX_BINARY = 32 * 1024 * 1024;

const FRAME_HEADER = 8;

export interface Frame {
  readonly json: Record<string, unknown>;
  readonly binary: Uint8Array;
}

const NOTHING = new Uint8Array(0);

/**
 * The bytes of a frame: its head with the JSON text, and the binary part as it was given.
 * @throws SystemError EMSGSIZE for what the other side would refuse.
 */
export function encodeFrame(json: object, binary: Uint8Array = NOTHING): Uint8Array[] {
  const text = Buffer.from(JSON.stringify(json));
  if (text.length > MAX_JSON || binary.length > MAX_BINARY) {
    throw new SystemError('EMSGSIZE', { message: 'more than the protocol carries at once' });
  }
  const head = Buffer.allocUnsafe(FRAME_HEADER + text.length);
  head.writeUInt32LE(text.length, 0);
  head.writeUInt32LE(binary.length, 4);
  text.copy(head, FRAME_HEADER);
  return binary.length > 0 ? [head, binary] : [head];
}

/** Turns chunks, cut anywhere, into frames. */
export class FrameReader {
  #chunks: Uint8Array[] = [];
  #length = 0;
  /** How many bytes the next step needs, so that a long frame is joined only once. */
  #needed = FRAME_HEADER;

  /** @throws SystemError EPROTO for a frame that is too long or is not an object in JSON. */
  *push(chunk: Uint8Array): Generator<Frame> {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    for (let frame = this.#next(); frame !== undefined; frame = this.#next()) yield frame;
  }

  #next(): Frame | undefined {
    if (this.#length < this.#needed) return undefined;
    const data = this.#joined();
    const jsonLength = data.readUInt32LE(0);
    const binaryLength = data.readUInt32LE(4);
    if (jsonLength > MAX_JSON || binaryLength > MAX_BINARY) {
      throw new SystemError('EPROTO', { message: 'a frame is longer than the protocol allows' });
    }
    const end = FRAME_HEADER + jsonLength + binaryLength;
    this.#needed = end;
    if (data.length < end) return undefined;
    this.#needed = FRAME_HEADER;
    const json = parseObject(data.toString('utf8', FRAME_HEADER, FRAME_HEADER + jsonLength));
    const binary = data.subarray(FRAME_HEADER + jsonLength, end);
    this.#chunks = [data.subarray(end)];
    this.#length = data.length - end;
    return { json, binary };
  }

  #joined(): Buffer {
    const [first] = this.#chunks;
    const whole =
      this.#chunks.length === 1 && first !== undefined ? first : Buffer.concat(this.#chunks);
    this.#chunks = [whole];
    return Buffer.from(whole.buffer, whole.byteOffset, whole.byteLength);
  }
}

/** @throws SystemError EPROTO when the text is not a JSON object. */
export function parseObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SystemError('EPROTO', { message: 'not JSON', cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new SystemError('EPROTO', { message: 'not a JSON object' });
  }
  return value as Record<string, unknown>;
}

/** A first line, either way. */
export function helloLine(...words: string[]): string {
  return `VMMCTL/${PROTOCOL} ${words.join(' ')}\n`;
}

export interface Hello {
  readonly protocol: number;
  /** `control`, `stream`; `ok`, `error`. */
  readonly word: string;
  readonly rest: string;
}

/** @returns undefined when the line is not of this protocol, in any version. */
export function parseHello(line: string): Hello | undefined {
  const match = /^VMMCTL\/(\d{1,6}) ([a-z]+)(?: (.*))?$/.exec(line);
  if (match === null) return undefined;
  return { protocol: Number(match[1]), word: match[2] ?? '', rest: match[3] ?? '' };
}

/** An error as it goes over the wire. */
export interface WireError {
  code: ErrorCode;
  message: string;
  syscall?: string;
  path?: string;
  hint?: string;
  /** The result of VMCI that is its cause. */
  vmciResult?: number;
}

export function errorToWire(error: unknown): WireError {
  if (!(error instanceof SystemError)) {
    return { code: 'EIO', message: error instanceof Error ? error.message : String(error) };
  }
  const wire: WireError = { code: error.code, message: error.message };
  if (error.syscall !== undefined) wire.syscall = error.syscall;
  if (error.path !== undefined) wire.path = error.path;
  if (error.hint !== undefined) wire.hint = error.hint;
  if (error.cause instanceof VmciResultError) wire.vmciResult = error.cause.result;
  return wire;
}

/** The error that the other side meant; EPROTO when it makes no sense. */
export function errorFromWire(wire: unknown): SystemError {
  const value = (typeof wire === 'object' && wire !== null ? wire : {}) as Record<string, unknown>;
  if (!isErrorCode(value.code)) {
    return new SystemError('EPROTO', { message: 'the simulated host sent an unknown error' });
  }
  const { vmciResult } = value;
  const text = (name: string) => {
    const field = value[name];
    return typeof field === 'string' ? field : undefined;
  };
  return new SystemError(value.code, {
    message: text('message'),
    syscall: text('syscall'),
    path: text('path'),
    hint: text('hint'),
    cause: Number.isInteger(vmciResult) ? new VmciResultError(Number(vmciResult)) : undefined,
  });
}
