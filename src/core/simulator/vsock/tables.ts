/** Which socket a packet is for: the tables of bound and of connected sockets. Follows net/vmw_vsock/af_vsock.c. */
import { SystemError } from '../../abi/errno.js';
import {
  LAST_RESERVED_PORT,
  MAX_PORT_RETRIES,
  VMADDR_CID_ANY,
  VMADDR_PORT_ANY,
} from '../../abi/vm-sockets.js';
import type { Rng } from '../rng.js';
import type { Socket, VsockAddress } from './socket.js';

export class SocketTables {
  /** By port: few sockets share one (the same port at different CIDs). */
  readonly #bound = new Map<number, Set<Socket>>();
  readonly #connected = new Map<string, Socket>();
  readonly #rng: Rng;
  #nextPort: number | undefined;

  constructor(rng: Rng) {
    this.#rng = rng;
  }

  /** The bound socket whose address a packet to `address` means; VMADDR_CID_ANY means every CID, both ways. */
  findBound(address: VsockAddress): Socket | undefined {
    for (const socket of this.#bound.get(address.port) ?? []) {
      const { cid } = socket.local;
      if (cid === address.cid || cid === VMADDR_CID_ANY || address.cid === VMADDR_CID_ANY) {
        return socket;
      }
    }
    return undefined;
  }

  findConnected(from: VsockAddress, toPort: number): Socket | undefined {
    return this.#connected.get(key(from, toPort));
  }

  /**
   * Binds to an address that was checked; VMADDR_PORT_ANY takes a free port above the privileged ones.
   * @throws SystemError EADDRINUSE, EADDRNOTAVAIL (24 ports in a row are taken).
   */
  bind(socket: Socket, address: VsockAddress): void {
    const port = address.port === VMADDR_PORT_ANY ? this.#freePort(address.cid) : address.port;
    const local = { cid: address.cid, port };
    if (this.findBound(local) !== undefined)
      throw new SystemError('EADDRINUSE', { syscall: 'bind' });
    socket.local = local;
    socket.bound = true;
    const sharing = this.#bound.get(port);
    if (sharing === undefined) this.#bound.set(port, new Set([socket]));
    else sharing.add(socket);
  }

  connect(socket: Socket): void {
    if (socket.peer !== undefined) this.#connected.set(key(socket.peer, socket.local.port), socket);
  }

  remove(socket: Socket): void {
    const sharing = this.#bound.get(socket.local.port);
    if (sharing?.delete(socket) && sharing.size === 0) this.#bound.delete(socket.local.port);
    if (socket.peer === undefined) return;
    const name = key(socket.peer, socket.local.port);
    if (this.#connected.get(name) === socket) this.#connected.delete(name);
  }

  /** Every socket in either table. */
  all(): Set<Socket> {
    const sockets = new Set(this.#connected.values());
    for (const sharing of this.#bound.values()) for (const socket of sharing) sockets.add(socket);
    return sockets;
  }

  #freePort(cid: number): number {
    const first = LAST_RESERVED_PORT + 1;
    let port = this.#nextPort ?? first + this.#rng.below(VMADDR_PORT_ANY - first);
    for (let i = 0; i < MAX_PORT_RETRIES; i++) {
      if (port >= VMADDR_PORT_ANY || port < first) port = first;
      const candidate = port++;
      this.#nextPort = port;
      if (this.findBound({ cid, port: candidate }) === undefined) return candidate;
    }
    throw new SystemError('EADDRNOTAVAIL', { syscall: 'bind' });
  }
}

function key(from: VsockAddress, toPort: number): string {
  return `${from.cid}:${from.port}:${toPort}`;
}
