/**
 * An end of VMCI for commands: datagrams, doorbells, events. It is either a machine's kernel (vmci-kernel.ts), or a program
 * with a context of its own on /dev/vmci (vmci-node.ts).
 */
import { handleText, type VmciHandleValue } from '../abi/vmci.js';
import type { CallOptions } from '../backend/port/node.js';
import type { VmciDatagram } from '../backend/port/vmci.js';
import type { VmciWords } from './vmci-error.js';
import type { VmciEvent } from './vmci-event.js';

export interface VmciEndpoint {
  /** Whose end it is. */
  readonly contextId: number;
  /** Takes what is sent to a resource; VMCI_INVALID_ID is one that is chosen. @throws SystemError EEXIST. */
  listen(resource: number): Promise<VmciListener>;
  /**
   * Sends a payload; the source is a resource of one's own, VMCI_INVALID_ID one that is chosen.
   * @returns bytes sent, the header's 24 included.
   * @throws SystemError EHOSTUNREACH, EACCES, ENOBUFS, EMSGSIZE, ENODEV, EOPNOTSUPP.
   */
  send(dst: VmciHandleValue, payload: Uint8Array, from: number): Promise<number>;
  /** VMCI_INVALID_ID is a resource that is chosen. @throws SystemError EEXIST. */
  doorbell(resource: number): Promise<VmciDoorbell>;
  /** @throws SystemError EHOSTUNREACH, EACCES, ENODEV, EOPNOTSUPP. */
  ring(handle: VmciHandleValue): Promise<void>;
  /** Events from when it resolves, until the signal aborts. */
  events(options: { signal: AbortSignal }): Promise<AsyncIterable<VmciEvent>>;
  /** Is told of a context's end. @throws SystemError EOPNOTSUPP (a kernel can't), EEXIST. */
  watch(contextId: number): Promise<void>;
}

export interface VmciListener {
  readonly handle: VmciHandleValue;
  /** The next datagram. @throws SystemError EINTR, ENODEV when the guest is gone. */
  receive(options?: CallOptions): Promise<VmciDatagram>;
}

export interface VmciDoorbell {
  readonly handle: VmciHandleValue;
  /** Resolves when it has been rung since the last call. @throws SystemError EINTR, ENODEV. */
  wait(options?: CallOptions): Promise<void>;
}

/** Words for a resource that somebody has. */
export function taken(context: number, resource: number): VmciWords {
  const words = [`somebody has ${handleText({ context, resource })} already`] as const;
  return { VMCI_ERROR_ALREADY_EXISTS: words, VMCI_ERROR_DUPLICATE_ENTRY: words };
}

/** Words for where something was to go. */
export function toWords(handle: VmciHandleValue): VmciWords {
  const to = handleText(handle);
  return {
    VMCI_ERROR_INVALID_RESOURCE: [`nobody listens at ${to}`],
    VMCI_ERROR_NOT_FOUND: [`there is no endpoint ${to}`],
    VMCI_ERROR_DST_UNREACHABLE: [
      `no way leads to ${to}`,
      'VMCI connects a VM with its host, and no VM with another one',
    ],
    VMCI_ERROR_NO_RESOURCES: [`the queue of ${to} is full`],
  };
}
