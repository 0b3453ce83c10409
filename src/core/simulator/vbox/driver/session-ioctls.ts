/**
 * The ioctls that work on one session and on what the driver keeps. Follows the functions vbg_ioctl_*() in
 * vboxguest_core.c.
 */
import { VBOX_STATUS } from '../../../abi/vbox-err.js';
import {
  VBG_IOC_VERSION,
  VBGL_IOC_AGC_FLAGS_VALID_MASK,
  vbg_ioctl_acquire_guest_caps_in,
  vbg_ioctl_change_filter_in,
  vbg_ioctl_check_balloon_out,
  vbg_ioctl_driver_version_info_in,
  vbg_ioctl_driver_version_info_out,
  vbg_ioctl_hdr,
  vbg_ioctl_set_guest_caps_in,
  vbg_ioctl_set_guest_caps_out,
  vbg_ioctl_wait_for_events_in,
  vbg_ioctl_wait_for_events_out,
  vbg_ioctl_write_coredump_in,
} from '../../../abi/vboxguest.js';
import {
  VMMDEV_EVENT_VALID_EVENT_MASK,
  VMMDEV_GUEST_CAPABILITIES_MASK,
} from '../../../abi/vmmdev.js';
import { VMMDevReqWriteCoreDump } from '../../../abi/vmmdev-requests.js';
import type { PendingIoctl } from '../../node.js';
import { fail, type IoctlCall } from './call.js';
import { hex } from './kernel-log.js';

export function driverVersionInfo(call: IoctlCall): undefined {
  const { req_version, min_version } = call.decode(vbg_ioctl_driver_version_info_in);
  if (min_version > req_version || major(min_version) !== major(req_version)) fail('EINVAL');
  const fits = min_version <= VBG_IOC_VERSION && major(min_version) === major(VBG_IOC_VERSION);
  if (!fits) call.rc = VBOX_STATUS.VERR_VERSION_MISMATCH;
  call.answer(vbg_ioctl_driver_version_info_out, {
    session_version: fits ? VBG_IOC_VERSION : 0xffffffff,
    driver_version: VBG_IOC_VERSION,
    driver_revision: 0,
    reserved1: 0,
    reserved2: 0,
  });
}

function major(version: number): number {
  return version >>> 16;
}

export function writeLog(call: IoctlCall): undefined {
  const { size_in, size_out } = call.header;
  if (size_out !== vbg_ioctl_hdr.size) fail('EINVAL');
  call.session.vbg.log.printBytesLimited(call.data.subarray(vbg_ioctl_hdr.size, size_in));
}

/** @throws SystemError when it waits: EINTR, ETIMEDOUT. */
export function waitForEvents(call: IoctlCall): PendingIoctl {
  const { session } = call;
  const { timeout_ms, events } = call.decode(vbg_ioctl_wait_for_events_in);
  let interrupt = () => {};
  const pending = call.wait(() => interrupt());
  interrupt = session.vbg.events.wait(session, events, timeout_ms, (outcome) => {
    if (typeof outcome === 'string') {
      call.end(outcome);
      return;
    }
    call.answer(vbg_ioctl_wait_for_events_out, { events: outcome });
    call.end();
  });
  return pending;
}

export function interruptAllWaits({ session }: IoctlCall): undefined {
  session.cancelWaiters = true;
  session.vbg.events.wake();
}

export function changeFilterMask(call: IoctlCall): undefined {
  const { or_mask, not_mask } = call.decode(vbg_ioctl_change_filter_in);
  checkBits(or_mask | not_mask, VMMDEV_EVENT_VALID_EVENT_MASK, 'events');
  call.session.vbg.filter.change(call.session, or_mask, not_mask);
}

export function acquireCapabilities(call: IoctlCall): undefined {
  const { flags, or_mask, not_mask } = call.decode(vbg_ioctl_acquire_guest_caps_in);
  checkBits(flags, VBGL_IOC_AGC_FLAGS_VALID_MASK, 'flags');
  checkBits(or_mask | not_mask, VMMDEV_GUEST_CAPABILITIES_MASK, 'capabilities');
  call.session.vbg.capabilities.acquire(call.session, flags, or_mask, not_mask);
}

export function changeCapabilities(call: IoctlCall): undefined {
  const { session } = call;
  const { or_mask, not_mask } = call.decode(vbg_ioctl_set_guest_caps_in);
  checkBits(or_mask | not_mask, VMMDEV_GUEST_CAPABILITIES_MASK, 'capabilities');
  session.vbg.capabilities.set(session, or_mask, not_mask);
  call.answer(vbg_ioctl_set_guest_caps_out, {
    session_caps: session.setCaps,
    global_caps: session.vbg.capabilities.told,
  });
}

/** The driver inflates and deflates by itself, and never asks a program to. */
export function checkBalloon(call: IoctlCall): undefined {
  const balloon_chunks = call.session.vbg.balloon.chunks;
  call.answer(vbg_ioctl_check_balloon_out, { balloon_chunks, handle_in_r3: 0 });
}

export function writeCoreDump(call: IoctlCall): undefined {
  const { vbg, requestor } = call.session;
  const { flags: fFlags } = call.decode(vbg_ioctl_write_coredump_in);
  const name = 'VMMDevReq_WriteCoreDump';
  call.rc = vbg.host.ask(name, VMMDevReqWriteCoreDump, { fFlags }, { requestor }).rc;
}

/** @throws SystemError EINVAL for bits outside of a mask. */
function checkBits(bits: number, mask: number, what: string): void {
  if ((bits & ~mask) !== 0) fail('EINVAL', `there are no such ${what}: ${hex(bits & ~mask)}`);
}
