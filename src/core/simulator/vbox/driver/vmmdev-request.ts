/**
 * The ioctl that passes a request on to the host. Follows vbg_ioctl_vmmrequest() and vbg_req_allowed() in
 * vboxguest_core.c.
 */
import { fromBytes, u32 } from '../../../abi/layout.js';
import { VBG_IOCTL_HDR_TYPE_DEFAULT } from '../../../abi/vboxguest.js';
import {
  VMMDEV_MAX_VMMDEVREQ_SIZE,
  VMMDEV_REQUEST_TYPE,
  VMMDEV_REQUESTOR,
} from '../../../abi/vmmdev.js';
import { userRequestClass, VMMDEV_USER_REQUESTS } from '../../../abi/vmmdev-allowed.js';
import { fail, type IoctlCall } from './call.js';
import { hex } from './kernel-log.js';

/** The header of the call becomes that of the request; so the host sees the caller's `reserved` as the requestor. */
export function vmmdevRequest(call: IoctlCall): undefined {
  const { size_in, size_out, type } = call.header;
  if (size_in !== size_out) fail('EINVAL', 'a request has one size');
  if (size_in > VMMDEV_MAX_VMMDEVREQ_SIZE) fail('E2BIG');
  if (type === VBG_IOCTL_HDR_TYPE_DEFAULT) fail('EINVAL', 'a request has a type');
  checkAllowed(call, type);
  call.data.set(call.session.vbg.host.exchange(call.data));
}

/** @throws SystemError EPERM for a request that is not for programs, or not for this node. */
function checkAllowed(call: IoctlCall, type: number): void {
  const { log } = call.session.vbg;
  const { offset, request } = VMMDEV_USER_REQUESTS.byContent;
  // Behind a short request the driver reads what was in its memory before; here that is nothing.
  const word = call.data.length >= offset + 4 ? fromBytes(u32, call.data.subarray(offset)) : 0;
  const allowed = userRequestClass(type, word);
  if (allowed === 'anyone') return;
  const what = `Denying userspace vmm call type ${hex(type)}`;
  if (allowed === 'trusted') {
    const untrusted = VMMDEV_REQUESTOR.VMMDEV_REQUESTOR_USER_DEVICE;
    if ((call.session.requestor & untrusted) === 0) return;
    log.printLimited(`${what} through vboxuser device node`);
  } else if (type === VMMDEV_REQUEST_TYPE[request]) {
    log.printLimited(`Denying userspace vmm report guest cap. call facility ${hex(word)}`);
  } else {
    log.printLimited(what);
  }
  fail('EPERM');
}
