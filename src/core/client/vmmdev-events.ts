/** Events of VMMDev: by the names that people write, and as a guest's program waits for them. */
import {
  VBG_IOCTL_CHANGE_FILTER_MASK,
  VBG_IOCTL_INTERRUPT_ALL_WAIT_FOR_EVENTS,
  VBG_IOCTL_SIZES,
  VBG_IOCTL_WAIT_FOR_EVENTS,
  vbg_ioctl_change_filter_in,
  vbg_ioctl_hdr,
  vbg_ioctl_wait_for_events_in,
  vbg_ioctl_wait_for_events_out,
} from '../abi/vboxguest.js';
import { VMMDEV_EVENT, VMMDEV_EVENT_VALID_EVENT_MASK } from '../abi/vmmdev.js';
import type { CallOptions, DeviceNode } from '../backend/port/node.js';
import { vboxCallOk } from './vbox-call.js';

const FOR_EVER = 0xffffffff;

export interface VmmdevEvent {
  /** The header's without its prefix, `display-change-request`. */
  readonly name: string;
  readonly mask: number;
}

/** In the order of their bits. */
export const VMMDEV_EVENTS: readonly VmmdevEvent[] = Object.entries(VMMDEV_EVENT).map(
  ([name, mask]) => ({ name: plainName(name.replace('VMMDEV_EVENT_', '')), mask }),
);

/** Those that Linux' driver takes for itself, so that no program sees them. */
export const DRIVER_EVENTS =
  VMMDEV_EVENT.VMMDEV_EVENT_HGCM |
  VMMDEV_EVENT.VMMDEV_EVENT_BALLOON_CHANGE_REQUEST |
  VMMDEV_EVENT.VMMDEV_EVENT_MOUSE_POSITION_CHANGED;

/** Those that a program can wait for. */
export const PROGRAM_EVENTS = VMMDEV_EVENT_VALID_EVENT_MASK & ~DRIVER_EVENTS;

/** An event by its name, in any case, with `-` or `_`, with or without the header's prefix. */
export function findEvent(text: string): VmmdevEvent | undefined {
  const name = plainName(text).replace(/^vmmdev-event-/, '');
  return VMMDEV_EVENTS.find((event) => event.name === name);
}

/** The names in a mask; a bit that has none is shown as a number. */
export function eventNames(mask: number): string[] {
  const known = VMMDEV_EVENTS.filter((event) => (mask & event.mask) !== 0).map(({ name }) => name);
  const rest = (mask & ~VMMDEV_EVENT_VALID_EVENT_MASK) >>> 0;
  return rest === 0 ? known : [...known, `0x${rest.toString(16)}`];
}

function plainName(text: string): string {
  return text.toLowerCase().replaceAll('_', '-');
}

/**
 * Asks the host to deliver events, or to do so no longer, as far as nobody else in the guest wants them. It holds until
 * the node is closed.
 * @throws SystemError EINVAL for bits that are no event.
 */
export async function changeFilter(node: DeviceNode, or: number, not: number): Promise<void> {
  await vboxCallOk(node, {
    request: VBG_IOCTL_CHANGE_FILTER_MASK,
    argument: vbg_ioctl_change_filter_in.encode({ or_mask: or, not_mask: not }),
    sizeOut: VBG_IOCTL_SIZES.VBG_IOCTL_CHANGE_FILTER_MASK.out,
  });
}

/**
 * Waits until one of the events of a mask is there, and takes all of them that are; nobody else gets those. What the
 * host does not deliver never comes, see `changeFilter`.
 * @returns the mask of what came.
 * @throws SystemError ETIMEDOUT, EINTR.
 */
export async function waitForEvents(
  node: DeviceNode,
  mask: number,
  { timeoutMs = FOR_EVER, signal }: CallOptions & { timeoutMs?: number | undefined } = {},
): Promise<number> {
  const call = {
    request: VBG_IOCTL_WAIT_FOR_EVENTS,
    argument: vbg_ioctl_wait_for_events_in.encode({ timeout_ms: timeoutMs, events: mask }),
    sizeOut: VBG_IOCTL_SIZES.VBG_IOCTL_WAIT_FOR_EVENTS.out,
  };
  const data = await vboxCallOk(node, call, { signal, blocks: true });
  return vbg_ioctl_wait_for_events_out.decode(data).events;
}

/** Ends all waits of the node with EINTR, also those to come. */
export async function interruptAll(node: DeviceNode): Promise<void> {
  await vboxCallOk(node, {
    request: VBG_IOCTL_INTERRUPT_ALL_WAIT_FOR_EVENTS,
    argument: vbg_ioctl_hdr.encode({}),
    sizeOut: VBG_IOCTL_SIZES.VBG_IOCTL_INTERRUPT_ALL_WAIT_FOR_EVENTS.out,
  });
}
