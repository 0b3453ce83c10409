/** The system calls that offering a device needs, loaded once for all devices of this process. */

import { SystemError } from '../../abi/errno.js';
import { FileMemories } from '../../native/file-memory.js';
import { NativeMissingError } from '../../native/koffi.js';
import { type Libc, loadLibc } from '../../native/libc.js';
import { Messages } from '../../native/messages.js';
import { Reactor } from '../../native/reactor.js';
import { SharedMemories } from '../../native/shared-memory.js';

export interface System {
  readonly libc: Libc;
  readonly messages: Messages;
  readonly reactor: Reactor;
  readonly memories: SharedMemories;
  readonly files: FileMemories;
}

let loaded: Promise<System> | undefined;

/** @throws SystemError EOPNOTSUPP where the system has no epoll, or no koffi. */
export function loadSystem(): Promise<System> {
  loaded ??= load().catch((error) => {
    if (!(error instanceof NativeMissingError)) throw error;
    throw new SystemError('EOPNOTSUPP', { message: error.message, cause: error });
  });
  return loaded;
}

async function load(): Promise<System> {
  const libc = await loadLibc();
  const reactor = await Reactor.start();
  if (typeof reactor === 'number') {
    throw new SystemError('EOPNOTSUPP', { message: 'vhost-user needs a Linux host' });
  }
  return {
    libc,
    reactor,
    messages: await Messages.load(),
    memories: await SharedMemories.load(),
    files: await FileMemories.load(),
  };
}
