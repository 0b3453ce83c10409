/** Short connections with a VM's guest through its hybrid socket, as programs make them that know nothing of vmmctl. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** Connections that are open at a time. */
const AT_ONCE = 16;

/** Makes connections to a port of the guest; each says its number and wants it back. Resolves with how many did. */
export async function callMany(path: string, port: number, count: number): Promise<number> {
  let next = 0;
  let good = 0;
  const worker = async () => {
    while (next < count) {
      const said = `${next++}`.padStart(8, '0');
      if ((await callOnce(path, port, said)) === said) good += 1;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return good;
}

/** What one connection answers to a text and its end. */
async function callOnce(path: string, port: number, said: string): Promise<string> {
  const socket = connect({ path, allowHalfOpen: true });
  socket.write(`CONNECT ${port}\n`);
  const answer = textOf(socket);
  // All may be said at once; it waits for the OK in the socket.
  socket.end(said);
  return (await answer).replace(/^OK \d+\n/, '');
}

/** A server on the host that gives each connection of the guest to that port back what it says. */
export async function echoServer(path: string, port: number): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    socket.pipe(socket);
  });
  server.listen(`${path}_${port}`);
  await once(server, 'listening');
  return server;
}

async function textOf(socket: Socket): Promise<string> {
  let text = '';
  for await (const piece of socket) text += piece;
  return text;
}
