/**
 * The list of vsock sockets as the kernel dumps it over netlink. Mirrors Linux include/uapi/linux/netlink.h,
 * sock_diag.h and vm_sockets_diag.h; the states are those of include/net/tcp_states.h.
 */
import { array, fromBytes, i32, struct, u8, u16, u32 } from './layout.js';
import { AF_VSOCK } from './vm-sockets.js';

export const AF_NETLINK = 16;
export const NETLINK_SOCK_DIAG = 4;
export const SOCK_DIAG_BY_FAMILY = 20;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLM_F_REQUEST = 0x1;
export const NLM_F_DUMP = 0x300;

export const TCP_ESTABLISHED = 1;
export const TCP_SYN_SENT = 2;
export const TCP_CLOSE = 7;
export const TCP_LISTEN = 10;
export const TCP_CLOSING = 11;

export const nlmsghdr = struct('nlmsghdr', {
  nlmsg_len: u32,
  nlmsg_type: u16,
  nlmsg_flags: u16,
  nlmsg_seq: u32,
  nlmsg_pid: u32,
});

export const vsock_diag_req = struct('vsock_diag_req', {
  sdiag_family: u8,
  sdiag_protocol: u8,
  pad: u16,
  vdiag_states: u32,
  vdiag_ino: u32,
  vdiag_show: u32,
  vdiag_cookie: array(u32, 2),
});

export const vsock_diag_msg = struct('vsock_diag_msg', {
  vdiag_family: u8,
  vdiag_type: u8,
  vdiag_state: u8,
  vdiag_shutdown: u8,
  vdiag_src_cid: u32,
  vdiag_src_port: u32,
  vdiag_dst_cid: u32,
  vdiag_dst_port: u32,
  vdiag_ino: u32,
  vdiag_cookie: array(u32, 2),
});

export type VsockDiagMessage = ReturnType<typeof vsock_diag_msg.decode>;

/** Asks for all vsock sockets, in every state. */
export function vsockDumpRequest(): Uint8Array {
  const request = vsock_diag_req.encode({ sdiag_family: AF_VSOCK, vdiag_states: 0xffffffff });
  const header = nlmsghdr.encode({
    nlmsg_len: nlmsghdr.size + request.length,
    nlmsg_type: SOCK_DIAG_BY_FAMILY,
    nlmsg_flags: NLM_F_REQUEST | NLM_F_DUMP,
  });
  const message = new Uint8Array(header.length + request.length);
  message.set(header);
  message.set(request, header.length);
  return message;
}

export interface DumpPart {
  sockets: VsockDiagMessage[];
  /** Nothing comes after it. */
  done: boolean;
  /** errno of the dump, 0 when it goes well. */
  error: number;
}

/** What one datagram of a dump says. Messages that are cut, or of another kind, are left out. */
export function decodeDump(datagram: Uint8Array): DumpPart {
  const part: DumpPart = { sockets: [], done: false, error: 0 };
  for (const { type, body } of messages(datagram)) {
    if (type === NLMSG_DONE || type === NLMSG_ERROR) {
      part.done = true;
      part.error = errorIn(body);
    } else if (type === SOCK_DIAG_BY_FAMILY && body.length >= vsock_diag_msg.size) {
      const socket = vsock_diag_msg.decode(body);
      if (socket.vdiag_family === AF_VSOCK) part.sockets.push(socket);
    }
  }
  return part;
}

function* messages(datagram: Uint8Array): Generator<{ type: number; body: Uint8Array }> {
  for (let at = 0; at + nlmsghdr.size <= datagram.length; ) {
    const { nlmsg_len, nlmsg_type } = nlmsghdr.decode(datagram.subarray(at));
    const isWhole = nlmsg_len >= nlmsghdr.size && at + nlmsg_len <= datagram.length;
    if (!isWhole) return;
    yield { type: nlmsg_type, body: datagram.subarray(at + nlmsghdr.size, at + nlmsg_len) };
    at += (nlmsg_len + 3) & ~3;
  }
}

/** A negated errno, or zero, stands first in what an error and the end of a dump carry. */
function errorIn(body: Uint8Array): number {
  if (body.length < i32.size) return 0;
  return Math.max(0, -fromBytes(i32, body));
}
