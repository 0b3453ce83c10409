/** A simulated node that stands below this machine's /dev. */
import { CuseChannel, type CuseSystem } from './channel.js';
import { checkNodeName } from './names.js';
import { CuseSession, type CuseTarget } from './session.js';

export interface NodeOptions extends Omit<CuseTarget, 'path'> {
  /** The path below /dev. */
  readonly name: string;
  /** The node's permissions. */
  readonly mode: number;
}

export interface OfferedNode {
  readonly path: string;
  /** Takes the node away. All that was opened on it is closed. */
  close(): void;
}

/** Makes a node. @throws SystemError EINVAL (its name), and as the channel does. */
export function offerNode(system: CuseSystem, options: NodeOptions): OfferedNode {
  const { name, mode, keeper } = options;
  checkNodeName(name);
  const log = (text: string) => keeper.log.write(text);
  const channel = new CuseChannel(system, { name, mode, log });
  const { path } = channel;
  const session = new CuseSession({ ...options, path }, (reply) => channel.send(reply));
  channel.listen({
    received: (message) => session.receive(message),
    ended: (code) => {
      log(`${path} is gone: ${code}`);
      session.close();
    },
  });
  return {
    path,
    close: () => {
      channel.close();
      session.close();
    },
  };
}
