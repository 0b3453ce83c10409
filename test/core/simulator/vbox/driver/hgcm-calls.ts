/** Calls of HGCM as programs make them, for 64 and 32 bits. */
import { HGCMFunctionParameter64 } from '../../../../../src/core/abi/hgcm.js';
import type { OpenNode } from '../../../../../src/core/simulator/node.js';
import { argument, Call, type Program, startedGuest } from './guest.js';
import { later, type SeenRequest } from './scripted-device.js';

/** No limit, in milliseconds. */
export const FOREVER = 0xffffffff;
/** Connects to a service, by the kind of its location. */
export function connect(node: OpenNode, service = 'Test', type = 2): Call {
  const location = new Uint8Array(132);
  location[0] = type;
  location.set(new TextEncoder().encode(service), 4);
  return new Call(node, 0xc09c5604, argument(location, { sizeOut: 28 }));
}

export function disconnect(node: OpenNode, client: number): Call {
  return new Call(node, 0xc01c5605, argument([client], { sizeOut: 24 }));
}

export type Parameter =
  | { readonly u32: number }
  | { readonly u64: bigint }
  | { readonly type: 4 | 5 | 6; readonly size: number; readonly address: bigint };

function parameter64(one: Parameter): Uint8Array {
  if ('u32' in one) return words(1, one.u32, 0, 0);
  if ('u64' in one) {
    return words(2, Number(one.u64 & 0xffffffffn), Number(one.u64 >> 32n), 0);
  }
  return HGCMFunctionParameter64.encode({
    type: one.type,
    size: one.size,
    linearAddr: one.address,
  });
}

function parameter32(one: Parameter): Uint8Array {
  if ('u32' in one) return words(1, one.u32, 0xdead);
  if ('u64' in one) return words(2, Number(one.u64 & 0xffffffffn), Number(one.u64 >> 32n));
  return words(one.type, one.size, Number(one.address));
}

function words(...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

export interface CallOptions {
  readonly client?: number;
  readonly function?: number;
  readonly timeoutMs?: number;
  readonly bits?: 32 | 64;
  readonly count?: number;
  /** Zeros behind the parameters. */
  readonly trailing?: number;
  readonly sizeOut?: number;
  readonly memory?: Program;
}

/** The argument of a call. */
export function callArgument(
  parameters: readonly Parameter[],
  options: CallOptions = {},
): Uint8Array {
  const encode = options.bits === 32 ? parameter32 : parameter64;
  const { client = 1, function: fn = 1, timeoutMs = FOREVER, count = parameters.length } = options;
  const head = words(client, fn, timeoutMs, (count << 16) >>> 0);
  const parts = [head, ...parameters.map(encode), new Uint8Array(options.trailing ?? 0)];
  const body = Uint8Array.from(parts.flatMap((part) => [...part]));
  return argument(body, options.sizeOut === undefined ? {} : { sizeOut: options.sizeOut });
}

/** A call of a client, by default function 1 of client 1. */
export function call(
  node: OpenNode,
  parameters: readonly Parameter[] = [],
  options: CallOptions = {},
) {
  const request = options.bits === 32 ? 0xc0005606 : 0xc0005607;
  return new Call(node, request, callArgument(parameters, options), options.memory);
}

/** A guest with a client, whose calls are answered when the test says so. */
export function waitingGuest() {
  const guest = startedGuest();
  connect(guest.node);
  guest.device.on('VMMDevReq_HGCMCall64', later);
  guest.device.seen.length = 0;
  const last = (): SeenRequest => {
    const seen = guest.device.of('VMMDevReq_HGCMCall64').at(-1);
    if (seen === undefined) throw new Error('the host has seen no call');
    return seen;
  };
  return { ...guest, last, free: guest.pages.free };
}
