/**
 * Datagram sockets over VMCI: a port is a resource, a message a datagram, which is best effort.
 * Source: Linux net/vmw_vsock/vmci_transport.c.
 */
import { SystemError } from '../../abi/errno.js';
import { VMADDR_CID_ANY, VMADDR_CID_HYPERVISOR } from '../../abi/vm-sockets.js';
import {
  datagramSize,
  VMCI_DG_HEADERSIZE,
  VMCI_FLAG_ANYCID_DG_HND,
  VMCI_MAX_DG_PAYLOAD_SIZE,
} from '../../abi/vmci-datagram.js';
import { VMCI_RESULT as R } from '../../abi/vmci-errors.js';
import { VMCI_UNITY_PBRPC_REGISTER } from '../../abi/vmci-hypercalls.js';
import type { Datagram, Handle, KernelApi } from '../vmci/parts.js';
import type { DatagramTransport } from './link.js';
import type { Socket, VsockAddress } from './socket.js';
import { endpointOf } from './vmci-endpoint.js';
import { check, errorOf } from './vmci-result.js';

export class VmciDatagrams implements DatagramTransport {
  readonly #api: KernelApi;
  readonly #allows: (socket: Socket, cid: number) => boolean;
  readonly #handles = new Map<Socket, Handle>();

  /** @param allows whether a socket may talk to a context. */
  constructor(api: KernelApi, allows: (socket: Socket, cid: number) => boolean) {
    this.#api = api;
    this.#allows = allows;
  }

  /** Those that are bound. */
  sockets(): Iterable<Socket> {
    return this.#handles.keys();
  }

  check({ cid, port }: VsockAddress): void {
    if (cid !== VMADDR_CID_HYPERVISOR || port === VMCI_UNITY_PBRPC_REGISTER) return;
    throw new SystemError('EINVAL', { syscall: 'send' });
  }

  bind(socket: Socket, { cid, port }: VsockAddress): void {
    const flags = cid === VMADDR_CID_ANY ? VMCI_FLAG_ANYCID_DG_HND : 0;
    // A free port and a free resource are the same number.
    const handle = endpointOf(this.#api, port, flags, (datagram) =>
      this.#arrived(socket, datagram),
    );
    if (typeof handle === 'number') throw new SystemError(errorOf(handle), { syscall: 'bind' });
    this.#handles.set(socket, handle);
    socket.local = { cid, port: handle.resource };
    socket.bound = true;
  }

  /** @throws SystemError EMSGSIZE, EPERM (a restricted context), EHOSTUNREACH, EINVAL, ENOBUFS. */
  send(socket: Socket, payload: Uint8Array, to: VsockAddress): void {
    if (payload.length > VMCI_MAX_DG_PAYLOAD_SIZE) {
      throw new SystemError('EMSGSIZE', { syscall: 'send' });
    }
    if (!this.#allows(socket, to.cid)) throw new SystemError('EPERM', { syscall: 'send' });
    const { local } = socket;
    const src = { context: local.cid, resource: local.port };
    const dst = { context: to.cid, resource: to.port };
    check(this.#api.sendDatagram({ dst, src, payload }), 'send');
  }

  release(socket: Socket): void {
    const handle = this.#handles.get(socket);
    if (handle === undefined) return;
    this.#handles.delete(socket);
    this.#api.destroyDatagramHandle(handle);
  }

  close(): void {
    for (const socket of [...this.#handles.keys()]) this.release(socket);
  }

  #arrived(socket: Socket, datagram: Datagram): number {
    const { src, payload } = datagram;
    if (!this.#allows(socket, src.context)) return R.VMCI_ERROR_NO_ACCESS;
    const queued = socket.datagrams.reduce(
      (sum, { bytes }) => sum + VMCI_DG_HEADERSIZE + bytes.length,
      0,
    );
    // What finds no room is lost, and the sender does not learn it.
    if (queued + datagramSize(datagram) > socket.bufferSize) return R.VMCI_SUCCESS;
    const from = { cid: src.context, port: src.resource };
    socket.datagrams.push({ bytes: payload, endOfRecord: true, from });
    socket.host.wake(socket);
    return R.VMCI_SUCCESS;
  }
}
