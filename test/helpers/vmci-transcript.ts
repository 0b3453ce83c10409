/**
 * What a program on /dev/vmci of Linux 6.1 was answered, call by call: test/fixtures/vmci/basic.log as steps (vmci-transcript-pairs.ts has them all) that any
 * machine with that node can be put through, the simulated one and a real one. The steps build on each other.
 */
import { errnoOf, SystemError } from '../../src/core/abi/errno.js';
import { type FieldType, fromBytes, i32, toBytes } from '../../src/core/abi/layout.js';
import type { VmciHandleValue } from '../../src/core/abi/vmci.js';
import {
  encodeDatagram,
  VMCI_DG_HEADERSIZE,
  vmci_datagram,
} from '../../src/core/abi/vmci-datagram.js';
import * as abi from '../../src/core/abi/vmci-ioctls.js';
import type { DeviceNode, MappedMemory, Pointer } from '../../src/core/backend/port/node.js';

/** Where the steps are done. */
export interface VmciMachine {
  /** Opens /dev/vmci. */
  open(): Promise<DeviceNode>;
  /** Memory whose address may stand in an argument. */
  memory(bytes: number): Promise<MappedMemory>;
  /** Whether poll(2) says now that a node can be read. */
  readable(node: DeviceNode): Promise<boolean>;
}

/** One line of the transcript, and what does it anew. */
export interface TranscriptStep {
  /** As it was printed then. */
  readonly line: string;
  run(lab: VmciLab): Promise<string>;
}

/** What became of a call. */
export interface Outcome<T> {
  /** What the call itself gave, as the transcript prints it: `0`, `-1 errno 22`. */
  readonly text: string;
  /** The argument afterwards; after a failure as it was. */
  readonly value: T;
}

/** A datagram as RECEIVE gave it. */
export interface Received {
  readonly text: string;
  readonly result: number;
  readonly len: number;
  readonly dst: VmciHandleValue;
  readonly src: VmciHandleValue;
  readonly payload_size: bigint;
  readonly payload: Uint8Array;
}

export interface SendOptions {
  readonly dst: VmciHandleValue;
  readonly src: VmciHandleValue;
  readonly payload: Uint8Array;
  /** What the argument says of the length, when that is not the truth. */
  readonly len?: number;
  /** An address in place of the datagram's. */
  readonly address?: bigint;
}

/** An address at which no program has anything. */
export const BAD_ADDRESS = 0x10n;
/** Stands in `result` where a call is not to change it. */
const SENTINEL = 7;

export class VmciLab {
  readonly #machine: VmciMachine;
  readonly #nodes = new Map<string, DeviceNode>();
  readonly #memories = new Map<string, MappedMemory>();
  /** What a step received that the next one prints. */
  last: Received | undefined;

  constructor(machine: VmciMachine) {
    this.#machine = machine;
  }

  /** An open node by a name; opened when it is not. */
  async node(name: string): Promise<DeviceNode> {
    const known = this.#nodes.get(name);
    if (known !== undefined) return known;
    const node = await this.#machine.open();
    this.#nodes.set(name, node);
    return node;
  }

  /** Whole pages by a name; made when there are none. */
  async memory(name: string, bytes: number): Promise<MappedMemory> {
    const known = this.#memories.get(name);
    if (known !== undefined) return known;
    const memory = await this.#machine.memory(bytes);
    this.#memories.set(name, memory);
    return memory;
  }

  async close(name: string): Promise<void> {
    const node = this.#nodes.get(name);
    this.#nodes.delete(name);
    await node?.close();
  }

  async closeAll(): Promise<void> {
    for (const name of [...this.#nodes.keys()]) await this.close(name);
    for (const memory of this.#memories.values()) await memory.release();
    this.#memories.clear();
  }

  /** 1 when it can be read, as poll(2) prints POLLIN. */
  async poll(name: string): Promise<number> {
    return (await this.#machine.readable(await this.node(name))) ? 1 : 0;
  }

  /** A call without a struct: what it returned, or its error. */
  async plain(name: string, request: number, argument?: Uint8Array): Promise<string> {
    const node = await this.node(name);
    return (await caught(() => node.ioctl(request, argument))).text;
  }

  /** The version that both speak, after saying one. */
  version2(name: string, version: number): Promise<string> {
    return this.plain(name, abi.IOCTL_VMCI_VERSION2, toBytes(i32, version));
  }

  async struct<T extends object>(
    name: string,
    request: number,
    layout: FieldType<T>,
    value: T,
    pointers: readonly Pointer[] = [],
  ): Promise<Outcome<T>> {
    const node = await this.node(name);
    const argument = toBytes(layout, value);
    const { text, data } = await caught(() => node.ioctl(request, argument, { pointers }));
    return { text, value: fromBytes(layout, data ?? argument) };
  }

  /** Makes a context of the node: what the call gave, and which it is. */
  init(name: string, cid: number, flags = 0): Promise<Outcome<{ cid: number; flags: number }>> {
    return this.struct(name, abi.IOCTL_VMCI_INIT_CONTEXT, abi.vmci_init_blk, { cid, flags });
  }

  /** A node of a version with a context, whatever was open under that name before. */
  async context(name: string, cid: number, version = 11, flags = 0): Promise<number> {
    await this.close(name);
    await this.version2(name, version << 16);
    return (await this.init(name, cid, flags)).value.cid;
  }

  async send(name: string, options: SendOptions): Promise<Outcome<{ result: number }>> {
    const to = encodeDatagram(options);
    const { address, len = to.length } = options;
    const pointers = address === undefined ? [{ at: 0, to }] : [];
    const info = { addr: address ?? 0n, len, result: SENTINEL };
    const layout = abi.vmci_datagram_snd_rcv_info;
    return this.struct(name, abi.IOCTL_VMCI_DATAGRAM_SEND, layout, info, pointers);
  }

  /** The next datagram, with room for so many bytes. */
  async receive(name: string, room = ROOM): Promise<Received> {
    const to = new Uint8Array(room);
    const info = { addr: 0n, len: room, result: SENTINEL };
    const layout = abi.vmci_datagram_snd_rcv_info;
    const pointers = [{ at: 0, to }];
    const request = abi.IOCTL_VMCI_DATAGRAM_RECEIVE;
    const { text, value } = await this.struct(name, request, layout, info, pointers);
    const header = room < VMCI_DG_HEADERSIZE ? vmci_datagram.zero() : vmci_datagram.decode(to);
    const size = Number(header.payload_size);
    const payload = to.subarray(VMCI_DG_HEADERSIZE, VMCI_DG_HEADERSIZE + size);
    return { text, ...value, ...header, payload };
  }

  /** Fetches all that waits, with room for so many bytes. @returns the last result with a datagram. */
  async drain(name: string, room = MAX_ROOM): Promise<number> {
    for (let last = 0; ; ) {
      const { result } = await this.receive(name, room);
      if (result < 0) return last;
      last = result;
    }
  }
}

/** Bytes of the room that the transcript's program had. */
const ROOM = 200000;
const MAX_ROOM = 69632;

async function caught(
  call: () => Promise<{ result: number; data: Uint8Array }>,
): Promise<{ text: string; data: Uint8Array | undefined }> {
  try {
    const { result, data } = await call();
    return { text: `${result}`, data };
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return { text: `-1 errno ${errnoOf(error.code, 'linux')}`, data: undefined };
  }
}

/** A handle. */
export function at(context: number, resource: number): VmciHandleValue {
  return { context, resource };
}

export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

export function hex(data: Uint8Array): string {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
