/** What sessions want, and what the host was told of it. */
import type { OpenNode } from '../../../../../src/core/simulator/node.js';
import { argument, Call } from './guest.js';
import type { ScriptedDevice } from './scripted-device.js';

export const SEAMLESS = 0x1;
export const WINDOWS = 0x2;
export const GRAPHICS = 0x4;
export const DISPLAY_EVENT = 0x4;
export const SEAMLESS_EVENT = 0x20;

export function filter(node: OpenNode, orMask: number, notMask = 0): Call {
  return new Call(node, 0xc020560c, argument([orMask, notMask], { sizeOut: 24 }));
}

export function acquire(node: OpenNode, orMask: number, notMask = 0, flags = 0): Call {
  return new Call(node, 0xc024560d, argument([flags, orMask, notMask], { sizeOut: 24 }));
}

export function set(node: OpenNode, orMask: number, notMask = 0): Call {
  return new Call(node, 0xc020560e, argument([orMask, notMask]));
}

export function wait(node: OpenNode, events: number, timeoutMs = 0xffffffff): Call {
  return new Call(node, 0xc020560a, argument([timeoutMs, events], { sizeOut: 28 }));
}

/** Masks that the host was told, as pairs of or and not, with who told it. */
export function told(device: ScriptedDevice, type: 42 | 56): [number, number, number][] {
  return device.seen
    .filter((seen) => seen.type === type)
    .map(({ bytes, requestor }) => {
      const view = new DataView(bytes.buffer);
      return [view.getUint32(24, true), view.getUint32(28, true), requestor];
    });
}

export const ASKED = 0x8b;
export const KERNEL = 1;
