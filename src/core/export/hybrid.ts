/**
 * Hybrid vsock, as Firecracker has it: every VM has a Unix socket. A client writes `CONNECT PORT`, reads
 * `OK LOCALPORT`, and has a stream to the guest; a guest's connection to a host port without a listener reaches
 * whoever listens on the socket's path with `_PORT` behind it.
 * Source: docs/vsock.md of Firecracker.
 */
import { lstatSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { connect, createServer, type Socket as NetSocket, type Server } from 'node:net';
import { join } from 'node:path';
import { VMADDR_PORT_ANY } from '../abi/vm-sockets.js';
import { Bridge } from '../daemon/bridge.js';
import { readFirstLine } from '../daemon/first-line.js';
import type { Keeper } from '../daemon/keeper.js';
import { MAX_SOCKET_PATH } from '../daemon/paths.js';
import type { Domain } from '../simulator/domain.js';
import { ROOT } from '../simulator/node.js';
import type { Socket } from '../simulator/vsock/socket.js';
import { isPlainName } from './plain-name.js';

/** The longest request line, bytes. Source: Firecracker's muxer. */
const MAX_LINE = 32;
/** Connections that one VM's socket takes at a time. Source: Firecracker's muxer. */
const MAX_CONNECTIONS = 1023;
/** The longest suffix that a port adds to a path: `_4294967295`. */
const PORT_SUFFIX = 11;

interface Offer {
  readonly server: Server;
  readonly cid: number;
  /** The socket, `cid-N.vsock`. */
  readonly path: string;
  /** `NAME.vsock`, a link to it, where the name allows one. */
  readonly alias: string | undefined;
}

export class HybridExports {
  readonly #directory: string;
  readonly #keeper: Keeper;
  readonly #offers = new Map<Domain, Offer>();
  readonly #bridges = new Set<Bridge>();

  constructor(directory: string, keeper: Keeper) {
    this.#directory = directory;
    this.#keeper = keeper;
  }

  /** Opens the VM's socket; one for another CID than the VM now has is closed first. */
  offer(domain: Domain): void {
    const { cid } = domain.guest;
    const current = this.#offers.get(domain);
    if (cid === undefined || current?.cid === cid) return;
    if (current !== undefined) this.withdraw(domain);
    const path = join(this.#directory, `cid-${cid}.vsock`);
    if (!fits(path)) return;
    const alias = this.#alias(domain.vm.name);
    const server = createServer({ allowHalfOpen: true }, (connection) => {
      this.#accepted(domain, connection);
    });
    server.maxConnections = MAX_CONNECTIONS;
    server.on('error', (error) => this.#keeper.log.write(`${path}: ${error.message}`));
    rmSync(path, { force: true });
    server.listen(path);
    if (alias !== undefined) {
      rmSync(alias, { force: true });
      symlinkSync(`cid-${cid}.vsock`, alias);
    }
    this.#offers.set(domain, { server, cid, path, alias });
  }

  /** Removes what a daemon that was killed left behind; sockets of others, `NAME.vsock_PORT`, stay. */
  removeStale(): void {
    for (const name of readdirSync(this.#directory)) {
      const path = join(this.#directory, name);
      if (!name.endsWith('.vsock')) continue;
      const status = lstatSync(path);
      if (status.isSocket() || status.isSymbolicLink()) rmSync(path, { force: true });
    }
  }

  withdraw(domain: Domain): void {
    const offer = this.#offers.get(domain);
    if (offer === undefined) return;
    this.#offers.delete(domain);
    offer.server.close();
    for (const path of [offer.path, offer.alias]) if (path) rmSync(path, { force: true });
  }

  paths(domain: Domain): { kind: string; path: string }[] {
    const offer = this.#offers.get(domain);
    return offer === undefined ? [] : [{ kind: 'hybrid-vsock', path: offer.alias ?? offer.path }];
  }

  /** A guest's connection to a host port without a listener: joined to the program at the path, or refused. */
  claim(domain: Domain, socket: Socket): void {
    const offer = this.#offers.get(domain);
    const suffix = `_${socket.local.port}`;
    const candidates = [offer?.alias, offer?.path].flatMap((path) => (path ? [path + suffix] : []));
    this.#tryNext(socket, candidates);
  }

  close(): void {
    for (const domain of [...this.#offers.keys()]) this.withdraw(domain);
    for (const bridge of this.#bridges) bridge.destroy('ECONNRESET');
  }

  #alias(name: string): string | undefined {
    if (!isPlainName(name)) return undefined;
    const path = join(this.#directory, `${name}.vsock`);
    return fits(path) ? path : undefined;
  }

  #tryNext(socket: Socket, candidates: string[]): void {
    const { host } = this.#keeper.world.network;
    const [path, ...others] = candidates;
    if (path === undefined) {
      host.refuse(socket);
      this.#keeper.pump.kick();
      return;
    }
    const connection = connect({ path, allowHalfOpen: true });
    const failed = () => this.#tryNext(socket, others);
    connection.once('error', failed);
    connection.once('connect', () => {
      connection.off('error', failed);
      if (host.claim(socket)) this.#join(socket, connection);
      else connection.destroy();
    });
  }

  #accepted(domain: Domain, connection: NetSocket): void {
    readFirstLine(connection, MAX_LINE, (line) => {
      const port = parseConnect(line);
      if (port === undefined) connection.destroy();
      else this.#dial(domain, port, connection);
    });
  }

  #dial(domain: Domain, port: number, connection: NetSocket): void {
    const { network } = this.#keeper.world;
    const socket = network.host.socket('stream', ROOT);
    const settled = () => {
      if (socket.state === 'connecting') return;
      this.#keeper.pump.watch(socket, undefined);
      if (socket.state !== 'connected' || connection.destroyed) {
        socket.close();
        connection.destroy();
        return;
      }
      connection.write(`OK ${socket.local.port}\n`);
      connection.removeAllListeners('error');
      this.#join(socket, connection);
    };
    this.#keeper.pump.watch(socket, { socketChanged: settled });
    try {
      network.host.connect(socket, { cid: domain.guest.cid ?? 0, port });
    } catch {
      socket.close();
      connection.destroy();
    }
    this.#keeper.pump.kick();
  }

  #join(socket: Socket, connection: NetSocket): void {
    const bridge = new Bridge(socket, connection, this.#keeper.pump, {
      // A program that knows nothing of vmmctl learns that its peer is gone when it can write no more.
      hungUp: () => bridge.closeWhenDelivered(),
      ended: () => this.#bridges.delete(bridge),
    });
    this.#bridges.add(bridge);
    bridge.start();
  }
}

function fits(path: string): boolean {
  return Buffer.byteLength(path) + PORT_SUFFIX <= MAX_SOCKET_PATH;
}

/** The port of a `CONNECT PORT` line, in any case; undefined when it is none. */
export function parseConnect(line: string): number | undefined {
  const match = /^connect (\d{1,10})\r?$/i.exec(line);
  const port = Number(match?.[1]);
  return match !== null && port <= VMADDR_PORT_ANY ? port : undefined;
}
