/** One call to VirtualBox's driver: the header that every argument begins with, and both ways to refuse. */
import { SystemError } from '../abi/errno.js';
import {
  VBG_IOCTL_HDR_TYPE_DEFAULT,
  VBG_IOCTL_HDR_VERSION,
  vbg_ioctl_hdr,
} from '../abi/vboxguest.js';
import type { DeviceNode, IoctlOptions } from '../backend/port/node.js';
import { vboxError } from './vbox-error.js';

export interface VboxCall {
  /** Number of the ioctl. */
  request: number;
  /** As its layout encodes it, with an empty header. Its size is size_in. */
  argument: Uint8Array;
  /** Bytes of the answer, those of the header included. */
  sizeOut: number;
  /** Number of a request to VMMDev; for all other calls it is left out. */
  type?: number | undefined;
}

export interface VboxAnswer {
  /** A status of VirtualBox; negative for a failure. */
  status: number;
  /** The argument as the call left it, at least `sizeOut` bytes. */
  data: Uint8Array;
}

/** @throws SystemError the driver's own; EPROTO for an answer that is too short. */
export async function vboxCall(
  node: DeviceNode,
  { request, argument, sizeOut, type = VBG_IOCTL_HDR_TYPE_DEFAULT }: VboxCall,
  options: IoctlOptions = {},
): Promise<VboxAnswer> {
  const bytes = new Uint8Array(Math.max(argument.length, sizeOut));
  bytes.set(argument);
  bytes.set(
    vbg_ioctl_hdr.encode({
      size_in: argument.length,
      version: VBG_IOCTL_HDR_VERSION,
      type,
      size_out: sizeOut,
    }),
  );
  const { data } = await node.ioctl(request, bytes, options);
  if (data.length < sizeOut) {
    const message = `the driver answers with ${data.length} bytes, and not ${sizeOut}`;
    throw new SystemError('EPROTO', { path: node.path, message });
  }
  return { status: vbg_ioctl_hdr.decode(data).rc, data };
}

/**
 * The same for a call that has to succeed; gives the argument as the call left it.
 * @throws SystemError the driver's own, or by its meaning the status: Linux' driver gives errors of the system where
 *   VirtualBox's own gives a status.
 */
export async function vboxCallOk(
  node: DeviceNode,
  call: VboxCall,
  options: IoctlOptions = {},
): Promise<Uint8Array> {
  const { status, data } = await vboxCall(node, call, options);
  if (status < 0) throw vboxError(status, {}, { path: node.path });
  return data;
}
