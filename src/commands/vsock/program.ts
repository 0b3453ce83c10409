/** Runs a program for one connection, with its stdin and stdout joined to it. */
import { spawn } from 'node:child_process';
import { CodeError, STATUS, StatusError } from '../../cli/errors.js';
import { signalStatus } from '../../cli/interrupts.js';
import type { VsockSocket } from '../../core/backend/port/vsock.js';
import { childEnd, vsockEnd } from '../../core/relay/end.js';
import { relay } from '../../core/relay/relay.js';

/** Gives the program's exit status, or 128 and the number of the signal that ended it. */
export async function serveProgram(
  socket: VsockSocket,
  command: string,
  signal: AbortSignal,
): Promise<number> {
  const peer = await socket.peerAddress();
  const local = await socket.localAddress();
  const child = spawn(command, {
    shell: true,
    stdio: ['pipe', 'pipe', 'inherit'],
    env: {
      ...process.env,
      VSOCK_PEER_CID: String(peer.cid),
      VSOCK_PEER_PORT: String(peer.port),
      VSOCK_LOCAL_PORT: String(local.port),
    },
  });
  const exited = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, by) => resolve(by ? signalStatus(by) : (code ?? 0)));
  });
  exited.catch(() => undefined);
  await relay(childEnd(child, signal), await vsockEnd(socket), { signal }).catch((error) => {
    // A peer that leaves early is the program's matter, and its status tells.
    if (signal.aborted || error.code !== 'EPIPE') throw error;
  });
  try {
    return await exited;
  } catch (cause) {
    const error = new CodeError('EIO', `the shell for '${command}' can't be run`);
    throw new StatusError(STATUS.commandNotExecutable, Object.assign(error, { cause }));
  }
}
