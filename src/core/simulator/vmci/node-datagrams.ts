/** The ioctls of /dev/vmci that send and receive datagrams. Source: Linux drivers/misc/vmw_vmci/vmci_host.c. */
import type { Decoded } from '../../abi/layout.js';
import {
  decodeDatagram,
  encodeDatagram,
  VMCI_DG_HEADERSIZE,
  VMCI_MAX_DG_SIZE,
} from '../../abi/vmci-datagram.js';
import {
  IOCTL_VMCI_DATAGRAM_RECEIVE,
  IOCTL_VMCI_DATAGRAM_SEND,
  vmci_datagram_snd_rcv_info,
} from '../../abi/vmci-ioctls.js';
import { type Call, type Change, fail, type Row, row } from './node-rows.js';

type Info = Decoded<typeof vmci_datagram_snd_rcv_info>;

export const DATAGRAM_ROWS: readonly [number, Row][] = [
  [IOCTL_VMCI_DATAGRAM_SEND, row(vmci_datagram_snd_rcv_info, send)],
  [IOCTL_VMCI_DATAGRAM_RECEIVE, row(vmci_datagram_snd_rcv_info, receive)],
];

/** @throws SystemError EINVAL for a length that no datagram has, or that is not the one in its header. */
function send({ driver, context, memory }: Call, { addr, len }: Info): Change<Info> {
  if (len > VMCI_MAX_DG_SIZE || len < VMCI_DG_HEADERSIZE) fail('EINVAL');
  const datagram = decodeDatagram(memory.read(addr, len)) ?? fail('EINVAL');
  return { result: driver.dispatch(context.cid, datagram, true) };
}

/** A datagram for which the address is bad is lost. */
function receive({ context, memory }: Call, { addr, len }: Info): Change<Info> {
  const { result, datagram } = context.dequeue(len);
  if (datagram !== undefined) memory.write(addr, encodeDatagram(datagram));
  return { result };
}
