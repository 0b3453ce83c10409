/** The daemon's Unix socket: the first line of each connection says what it is. */
import { rmSync } from 'node:fs';
import { connect, createServer, type Socket as NetSocket, type Server } from 'node:net';
import { SystemError } from '../abi/errno.js';
import { readFirstLine } from './first-line.js';
import { callerFrom } from './keeper.js';
import { takeLock } from './lock.js';
import { checkSocket, type HostPaths } from './paths.js';
import { Session } from './session.js';
import type { Shared } from './sessions.js';
import { errorToWire, helloLine, MAX_HELLO, PROTOCOL, parseHello, parseObject } from './wire.js';

/** Answers on the host's socket. @throws SystemError EADDRINUSE when another daemon already does. */
export async function listen(server: Server, paths: HostPaths): Promise<void> {
  const release = await takeLock(paths.lock);
  try {
    if (checkSocket(paths)) {
      if (await answers(paths.socket)) {
        throw new SystemError('EADDRINUSE', { path: paths.socket, message: 'it runs already' });
      }
      rmSync(paths.socket, { force: true });
    }
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(paths.socket, () => {
        server.off('error', reject);
        resolve();
      });
    });
  } finally {
    release();
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}

/** @param shared gives undefined while the daemon ends: who comes then is hung up on, and starts another. */
export function makeServer(shared: () => Shared | undefined, onClients: () => void): Server {
  return createServer({ allowHalfOpen: true }, (connection) => {
    readFirstLine(connection, MAX_HELLO, (line) => {
      const current = shared();
      if (current === undefined) connection.destroy();
      else greet(current, connection, line, onClients);
    });
  });
}

function greet(shared: Shared, connection: NetSocket, line: string, onClients: () => void): void {
  const hello = parseHello(line);
  const about = { version: shared.info.version, pid: process.pid };
  const refuse = (error: SystemError) => {
    shared.keeper.log.write(`a connection is refused: ${error.message}`);
    const text = JSON.stringify({ ...errorToWire(error), ...about });
    connection.end(helloLine('error', text));
  };
  if (hello === undefined) return refuse(new SystemError('EPROTO', { message: 'not a client' }));
  if (hello.protocol !== PROTOCOL) {
    const message = `this simulated host speaks version ${PROTOCOL} of the protocol`;
    return refuse(new SystemError('EPROTONOSUPPORT', { message }));
  }
  if (hello.word === 'stream') {
    const take = shared.takeStream(hello.rest);
    if (take === undefined) return refuse(new SystemError('EACCES', { message: 'unknown token' }));
    connection.write(helloLine('ok', '{}'));
    return take(connection);
  }
  if (hello.word !== 'control') return refuse(new SystemError('EPROTO', { message: 'not known' }));
  try {
    const caller = callerFrom(hello.rest === '' ? {} : parseObject(hello.rest));
    connection.write(helloLine('ok', JSON.stringify(about)));
    const session = new Session(shared, caller, connection);
    session.onClose(onClients);
    onClients();
  } catch (error) {
    refuse(error instanceof SystemError ? error : new SystemError('EPROTO', { cause: error }));
  }
}
