/** The dump of vsock sockets, and bytes of any kind as its answer. */
import fc from 'fast-check';
import t from 'tap';
import {
  decodeDump,
  NLMSG_DONE,
  NLMSG_ERROR,
  nlmsghdr,
  SOCK_DIAG_BY_FAMILY,
  TCP_LISTEN,
  vsock_diag_msg,
  vsock_diag_req,
  vsockDumpRequest,
} from '../../../src/core/abi/sock-diag.js';
import { AF_VSOCK } from '../../../src/core/abi/vm-sockets.js';
import { compareStruct, readGolden } from '../../helpers/golden.js';

function message(type: number, body: Uint8Array, length = nlmsghdr.size + body.length): Uint8Array {
  return Buffer.concat([nlmsghdr.encode({ nlmsg_len: length, nlmsg_type: type }), body]);
}

const SOCKET = vsock_diag_msg.encode({
  vdiag_family: AF_VSOCK,
  vdiag_type: 1,
  vdiag_state: TCP_LISTEN,
  vdiag_src_cid: 1,
  vdiag_src_port: 22,
});

t.test('the layouts are those of the golden values', async (t) => {
  const golden = readGolden<number>('vsock-abi');
  for (const layout of [vsock_diag_req, vsock_diag_msg]) {
    const struct = golden.structs[layout.name];
    if (struct === undefined) t.fail(`${layout.name} has no golden struct`);
    else t.strictSame(compareStruct(layout, struct), []);
  }
  t.equal(golden.constants.SOCK_DIAG_BY_FAMILY, SOCK_DIAG_BY_FAMILY);
});

t.test('the request asks for every vsock socket', async (t) => {
  const request = vsockDumpRequest();
  t.equal(request.length, 40);
  t.equal(nlmsghdr.decode(request).nlmsg_len, 40);
  const { sdiag_family, vdiag_states } = vsock_diag_req.decode(request.subarray(nlmsghdr.size));
  t.equal(sdiag_family, AF_VSOCK);
  t.equal(vdiag_states, 0xffffffff);
});

t.test('several sockets in one datagram, and its end', async (t) => {
  const socket = message(SOCK_DIAG_BY_FAMILY, SOCKET);
  const part = decodeDump(Buffer.concat([socket, socket, message(NLMSG_DONE, Buffer.alloc(4))]));
  t.equal(part.sockets.length, 2);
  t.equal(part.sockets[0]?.vdiag_src_port, 22);
  t.equal(part.done, true);
  t.equal(part.error, 0);
});

t.test('an error says its number', async (t) => {
  const body = Buffer.alloc(20);
  body.writeInt32LE(-2, 0);
  t.same(decodeDump(message(NLMSG_ERROR, body)), { sockets: [], done: true, error: 2 });
});

t.test('lengths that lie read nothing beyond', async (t) => {
  for (const length of [0, 1, 15, 17, 4096, 0xffffffff]) {
    const part = decodeDump(message(SOCK_DIAG_BY_FAMILY, SOCKET, length));
    t.equal(part.sockets.length, 0, `nlmsg_len ${length}`);
  }
  t.equal(decodeDump(message(SOCK_DIAG_BY_FAMILY, SOCKET.subarray(0, 31))).sockets.length, 0);
});

t.test('any bytes are read without an error and without an end', async () => {
  const kinds = fc.constantFrom(SOCK_DIAG_BY_FAMILY, NLMSG_DONE, NLMSG_ERROR, 0, 7);
  const lying = fc
    .tuple(kinds, fc.uint8Array({ maxLength: 80 }), fc.integer({ min: 0, max: 200 }))
    .map(([kind, body, length]) => message(kind, body, length));
  const datagram = fc
    .array(fc.oneof(lying, fc.uint8Array({ maxLength: 60 })))
    .map((parts) => Buffer.concat(parts));
  fc.assert(
    fc.property(datagram, (bytes) => {
      const { sockets } = decodeDump(bytes);
      return sockets.length <= bytes.length / vsock_diag_msg.size;
    }),
  );
});
