/** The reply of an ioctl that must not wait. */
import { type IoctlReply, PendingIoctl } from '../../src/core/simulator/node.js';

export function promptly(reply: IoctlReply | PendingIoctl): IoctlReply {
  if (reply instanceof PendingIoctl) throw new Error('the ioctl waits');
  return reply;
}
