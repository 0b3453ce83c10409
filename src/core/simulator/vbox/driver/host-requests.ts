/**
 * Requests to the device: bytes in pages of the guest, whose address is written to a port and which are answered in
 * place. Follows vbg_req_alloc() and vbg_req_perform() in drivers/virt/vboxguest/vboxguest_utils.c.
 */
import { type ErrorCode, SystemError } from '../../../abi/errno.js';
import { fromBytes, i32 } from '../../../abi/layout.js';
import { VBOX_STATUS, vbg_status_code_to_errno } from '../../../abi/vbox-err.js';
import {
  VMMDEV_REQUEST_HEADER_VERSION,
  VMMDEV_REQUEST_TYPE,
  VMMDEV_REQUESTOR,
  VMMDevRequestHeader,
  type VmmdevRequestName,
} from '../../../abi/vmmdev.js';
import type { GuestPages } from '../platform.js';
import type { KernelLog } from './kernel-log.js';

/** Who asks when the driver does. */
export const VBG_KERNEL_REQUEST =
  VMMDEV_REQUESTOR.VMMDEV_REQUESTOR_KERNEL | VMMDEV_REQUESTOR.VMMDEV_REQUESTOR_USR_DRV;

/** Bytes of contiguous memory that the kernel gives at most at a time. */
export const MAX_CONTIGUOUS = 4 * 1024 * 1024;

/**
 * Requests that must not fail for want of memory have a place from the start; by its offset in a page that they share.
 */
export const RESERVED = {
  acknowledgeEvents: 0,
  mouseStatus: 64,
  cancel: 128,
  balloonInfo: 192,
  heartbeat: 256,
  balloonChange: 512,
} as const;
const RESERVED_BYTES = 4096;

export interface RequestLayout<T> {
  readonly size: number;
  encode(value: Partial<T>): Uint8Array;
  decode(data: Uint8Array): T;
}

export interface Answer<T> {
  /** A status of VirtualBox. */
  readonly rc: number;
  readonly body: T;
}

export interface AskOptions {
  readonly requestor?: number;
  /** Where the request stands; in memory of its own when left out. */
  readonly reserved?: keyof typeof RESERVED;
}

const RC_OFFSET = VMMDevRequestHeader.offset('rc');

/** A request's bytes; `size` is that of the whole request where more follows its layout. */
export function encodeRequest<T>(
  layout: RequestLayout<T>,
  name: VmmdevRequestName,
  requestor: number,
  fields: Partial<T>,
  size: number = layout.size,
): Uint8Array {
  const data = new Uint8Array(size);
  data.set(layout.encode(fields));
  data.set(
    VMMDevRequestHeader.encode({
      size,
      version: VMMDEV_REQUEST_HEADER_VERSION,
      requestType: VMMDEV_REQUEST_TYPE[name],
      rc: VBOX_STATUS.VERR_GENERAL_FAILURE,
      fRequestor: requestor,
    }),
  );
  return data;
}

export class HostRequests {
  readonly #pages: GuestPages;
  readonly #writeRequest: (address: number) => void;
  readonly #taken = new Set<number>();
  #reserved: number | undefined;

  constructor(pages: GuestPages, writeRequest: (address: number) => void) {
    this.#pages = pages;
    this.#writeRequest = writeRequest;
  }

  /** Takes the memory of the requests that must not fail. @throws SystemError ENOMEM. */
  reserve(): void {
    this.#reserved ??= this.allocate(RESERVED_BYTES);
  }

  unreserve(): void {
    if (this.#reserved !== undefined) this.release(this.#reserved);
    this.#reserved = undefined;
  }

  /** The address of new memory, zeroed. @throws SystemError ENOMEM. */
  allocate(bytes: number): number {
    const address = this.#pages.allocate(bytes);
    if (address === undefined) throw new SystemError('ENOMEM', { syscall: 'ioctl' });
    this.#taken.add(address);
    return address;
  }

  release(address: number): void {
    if (this.#taken.delete(address)) this.#pages.release(address);
  }

  /** Gives back all that was ever taken, as a reboot does. */
  releaseAll(): void {
    for (const address of [...this.#taken]) this.release(address);
    this.#reserved = undefined;
  }

  read(address: number, length: number): Uint8Array {
    return this.#pages.read(address, length);
  }

  write(address: number, data: Uint8Array): void {
    this.#pages.write(address, data);
  }

  readInt(address: number): number {
    return fromBytes(i32, this.read(address, i32.size));
  }

  /** Has the host answer the request that stands at an address: its status. */
  perform(address: number): number {
    this.#writeRequest(address);
    return this.readInt(address + RC_OFFSET);
  }

  /** Makes a request, and decodes its answer. @throws SystemError ENOMEM. */
  ask<T>(
    name: VmmdevRequestName,
    layout: RequestLayout<T>,
    fields: Partial<T>,
    { requestor = VBG_KERNEL_REQUEST, reserved }: AskOptions = {},
  ): Answer<T> {
    const data = encodeRequest(layout, name, requestor, fields);
    const answer = this.exchange(data, reserved);
    return { rc: fromBytes(i32, answer.subarray(RC_OFFSET)), body: layout.decode(answer) };
  }

  /** Has the host answer a request, and gives the answer's bytes. @throws SystemError ENOMEM. */
  exchange(data: Uint8Array, reserved?: keyof typeof RESERVED): Uint8Array {
    const address = reserved === undefined ? this.allocate(data.length) : this.#place(reserved);
    this.write(address, data);
    this.#writeRequest(address);
    const answer = this.read(address, data.length);
    if (reserved === undefined) this.release(address);
    return answer;
  }

  #place(reserved: keyof typeof RESERVED): number {
    if (this.#reserved === undefined) throw new SystemError('ENOMEM', { syscall: 'ioctl' });
    return this.#reserved + RESERVED[reserved];
  }
}

/** The error that a status of the host is to the driver, if it is one. What has none of its own is told in the log. */
export function errorOfStatus(log: KernelLog, rc: number): ErrorCode | undefined {
  const code = vbg_status_code_to_errno(rc);
  if (code === 'EPROTO') log.printLimited(`vbg_status_code_to_errno: Unhandled err ${rc}`);
  return code;
}

/** @throws SystemError by vbg_status_code_to_errno() when the status is a failure. */
export function checkStatus(log: KernelLog, rc: number): void {
  const code = errorOfStatus(log, rc);
  if (code !== undefined) throw new SystemError(code, { syscall: 'ioctl' });
}
