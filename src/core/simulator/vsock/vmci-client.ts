/** The side of a connection over VMCI that asks for it. Source: Linux net/vmw_vsock/vmci_transport.c. */
import type { ErrorCode } from '../../abi/errno.js';
import { VMADDR_CID_ANY } from '../../abi/vm-sockets.js';
import { isInvalidHandle, sameHandle } from '../../abi/vmci.js';
import { VMCI_QPFLAG_LOCAL } from '../../abi/vmci-queue-pair.js';
import {
  VMCI_TRANSPORT_PACKET_TYPE_ATTACH,
  VMCI_TRANSPORT_PACKET_TYPE_INVALID,
  VMCI_TRANSPORT_PACKET_TYPE_NEGOTIATE,
  VMCI_TRANSPORT_PACKET_TYPE_NEGOTIATE2,
  VMCI_TRANSPORT_PACKET_TYPE_OFFER,
  VMCI_TRANSPORT_PACKET_TYPE_REQUEST,
  VMCI_TRANSPORT_PACKET_TYPE_RST,
  VSOCK_PROTO_PKT_ON_NOTIFY,
} from '../../abi/vmci-vsock.js';
import type { Control } from './vmci-control.js';
import type { VmciLink } from './vmci-link.js';
import { errorOf } from './vmci-result.js';

type Step = (link: VmciLink, control: Control) => ErrorCode | undefined;

/** What each answer does; an error ends the attempt. All others are EPROTO. */
const STEPS: Readonly<Record<number, Step>> = {
  [VMCI_TRANSPORT_PACKET_TYPE_NEGOTIATE]: negotiate,
  [VMCI_TRANSPORT_PACKET_TYPE_NEGOTIATE2]: negotiate,
  [VMCI_TRANSPORT_PACKET_TYPE_ATTACH]: attached,
  [VMCI_TRANSPORT_PACKET_TYPE_INVALID]: askAgain,
  [VMCI_TRANSPORT_PACKET_TYPE_RST]: refused,
};

/** A packet for a socket that connects. */
export function receiveAsClient(link: VmciLink, control: Control): void {
  const step = STEPS[control.type];
  const error = step === undefined ? 'EPROTO' : step(link, control);
  if (error === undefined) return;
  if (control.type !== VMCI_TRANSPORT_PACKET_TYPE_RST) link.say(VMCI_TRANSPORT_PACKET_TYPE_RST);
  link.side.fail(link, error);
}

/** The peer has said how large the queues are to be, and how it wants to be told of them. */
function negotiate(
  link: VmciLink,
  { type, from, to, size, proto }: Control,
): ErrorCode | undefined {
  const { socket } = link;
  const { peer } = socket;
  const fromPeer = peer?.cid === from.cid && peer.port === from.port;
  if (size === 0 || !fromPeer || link.handle !== undefined) return 'EPROTO';
  link.requested = false;
  link.ignoresReset = false;
  if (size < socket.bufferMin || size > socket.bufferMax) return 'EINVAL';
  if (socket.local.cid === VMADDR_CID_ANY) socket.local = { cid: to.cid, port: socket.local.port };
  const old = type === VMCI_TRANSPORT_PACKET_TYPE_NEGOTIATE;
  if (!old && proto !== VSOCK_PROTO_PKT_ON_NOTIFY) return 'EINVAL';
  link.speak(old ? 'old' : 'new');
  const flags = peer?.cid === socket.local.cid ? VMCI_QPFLAG_LOCAL : 0;
  const failed = link.side.allocPair(link, { handle: undefined, flags, size });
  if (failed !== undefined) return failed;
  const { handle } = link;
  const result = link.say(VMCI_TRANSPORT_PACKET_TYPE_OFFER, handle && { handle });
  return result < 0 ? errorOf(result) : undefined;
}

/** The peer has attached to the queue pair that it was offered. */
function attached(link: VmciLink, { handle }: Control): ErrorCode | undefined {
  const own = link.handle;
  if (isInvalidHandle(handle)) return 'EPROTO';
  if (own === undefined || !sameHandle(own, handle)) return 'EPROTO';
  link.socket.deadline?.cancel();
  link.side.stack.established(link.socket);
  link.wake();
  return undefined;
}

/** The peer does not know REQUEST2. */
function askAgain(link: VmciLink): ErrorCode | undefined {
  if (!link.requested) return undefined;
  link.requested = false;
  link.ignoresReset = true;
  const result = link.say(VMCI_TRANSPORT_PACKET_TYPE_REQUEST, { size: link.socket.bufferSize });
  return result < 0 ? errorOf(result) : undefined;
}

function refused(link: VmciLink): ErrorCode | undefined {
  if (!link.ignoresReset) return 'ECONNRESET';
  link.ignoresReset = false;
  return undefined;
}
