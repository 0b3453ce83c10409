/**
 * The nodes /dev/vboxguest and /dev/vboxuser: who may open them, and what is checked of an argument before the driver
 * looks at it. Follows drivers/virt/vboxguest/vboxguest_linux.c; the modes are those of Debian's udev rules.
 */
import { SystemError } from '../../../abi/errno.js';
import { ioctlParts } from '../../../abi/linux-ioctl.js';
import {
  VBG_IOCTL_HDR_VERSION,
  VBG_IOCTL_MAX_SIZE,
  vbg_ioctl_hdr,
} from '../../../abi/vboxguest.js';
import { VMMDEV_REQUESTOR } from '../../../abi/vmmdev.js';
import {
  type Caller,
  hasCapability,
  type IoctlOutcome,
  type IoctlReply,
  NO_USER_MEMORY,
  type OpenNode,
  type PendingIoctl,
  type UserMemory,
} from '../../node.js';
import { fail, IoctlCall } from './call.js';
import { MAX_CONTIGUOUS } from './host-requests.js';
import { runIoctl } from './ioctls.js';
import { Session } from './session.js';
import type { Vbg } from './vbg.js';

export type VbgNodeName = 'vboxguest' | 'vboxuser';

interface NodeKind {
  readonly mode: number;
  /** What its callers are to the host, besides who they are. */
  readonly requestor: number;
}

const NODES: Readonly<Record<VbgNodeName, NodeKind>> = {
  vboxguest: { mode: 0o660, requestor: 0 },
  vboxuser: { mode: 0o666, requestor: VMMDEV_REQUESTOR.VMMDEV_REQUESTOR_USER_DEVICE },
};
/** Both nodes are root's, and so is their group. */
const OWNER = 0;
const READ_WRITE = 0o6;

/** Opens a node. @throws SystemError EACCES by its mode. */
export function openNode(vbg: Vbg, name: VbgNodeName, caller: Caller): OpenNode {
  const { mode, requestor } = NODES[name];
  if (!mayOpen(mode, caller)) throw new SystemError('EACCES', { syscall: 'open' });
  const session = new Session(vbg, requestorOf(caller) | requestor);
  let closed = false;
  return {
    ioctl(request, argument, memory = NO_USER_MEMORY) {
      if (closed) fail('EBADF');
      if (!session.open) fail('ENODEV', 'the driver that the node was opened on is gone');
      return ioctl(session, request >>> 0, argument, memory);
    },
    close() {
      closed = true;
      session.close();
    },
  };
}

function inGroup(caller: Caller): boolean {
  return caller.gid === OWNER || caller.groups.includes(OWNER);
}

function mayOpen(mode: number, caller: Caller): boolean {
  if (hasCapability(caller, 'CAP_DAC_OVERRIDE')) return true;
  const shift = caller.uid === OWNER ? 6 : inGroup(caller) ? 3 : 0;
  return ((mode >> shift) & READ_WRITE) === READ_WRITE;
}

function requestorOf(caller: Caller): number {
  const { VMMDEV_REQUESTOR_USERMODE, VMMDEV_REQUESTOR_GRP_VBOX } = VMMDEV_REQUESTOR;
  const { VMMDEV_REQUESTOR_USR_ROOT, VMMDEV_REQUESTOR_USR_USER } = VMMDEV_REQUESTOR;
  const user = caller.uid === 0 ? VMMDEV_REQUESTOR_USR_ROOT : VMMDEV_REQUESTOR_USR_USER;
  return VMMDEV_REQUESTOR_USERMODE | user | (inGroup(caller) ? VMMDEV_REQUESTOR_GRP_VBOX : 0);
}

function ioctl(
  session: Session,
  request: number,
  argument: Uint8Array | number,
  memory: UserMemory,
): IoctlReply | PendingIoctl {
  if (typeof argument === 'number') fail('EFAULT');
  const data = copyIn(request, argument);
  const call = new IoctlCall(session, { argument, data, memory });
  const pending = runIoctl(call, request);
  return pending === undefined ? call.reply() : unwrap(pending);
}

/** The kernel's copy of an argument. @throws SystemError EFAULT, EINVAL, E2BIG, ENOMEM. */
function copyIn(request: number, argument: Uint8Array): Uint8Array {
  if (argument.length < vbg_ioctl_hdr.size) fail('EFAULT');
  const { version, size_in, size_out } = vbg_ioctl_hdr.decode(argument);
  if (version !== VBG_IOCTL_HDR_VERSION) fail('EINVAL', 'the header has another version');
  if (size_in < vbg_ioctl_hdr.size || (size_out !== 0 && size_out < vbg_ioctl_hdr.size)) {
    fail('EINVAL', 'the header has sizes that it does not fit in itself');
  }
  const size = Math.max(size_in, size_out);
  const { size: told } = ioctlParts(request);
  if (told !== 0 && told !== size) fail('EINVAL', `the ioctl's number tells ${told} bytes`);
  if (size > VBG_IOCTL_MAX_SIZE) fail('E2BIG');
  if (size > MAX_CONTIGUOUS) fail('ENOMEM');
  if (size_in > argument.length) fail('EFAULT');
  const data = new Uint8Array(size);
  data.set(argument.subarray(0, size_in));
  return data;
}

/** What has ended at once did not wait. @throws SystemError the error that it ended with. */
function unwrap(pending: PendingIoctl): IoctlReply | PendingIoctl {
  if (!pending.finished) return pending;
  let ended: IoctlOutcome = { result: 0 };
  pending.onFinish((outcome) => {
    ended = outcome;
  });
  if (ended instanceof SystemError) throw ended;
  return ended;
}
