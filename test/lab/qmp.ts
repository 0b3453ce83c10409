/** QEMU's management channel, QMP: one command for each connection, which is all that a test needs. */
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

interface Message {
  QMP?: unknown;
  return?: unknown;
  error?: { class: string; desc: string };
}

/** Runs a command and gives what it returns; rejects with QEMU's words. */
export async function qmp(
  path: string,
  command: string,
  args: Record<string, unknown> = {},
): Promise<unknown> {
  const socket = connect(path);
  const send = (execute: string, values: Record<string, unknown> = {}): void => {
    socket.write(`${JSON.stringify({ execute, arguments: values })}\n`);
  };
  const failed = new Promise<never>((_, reject) => {
    socket.once('error', reject);
  });
  try {
    return await Promise.race([failed, converse(createInterface(socket))]);
  } finally {
    socket.destroy();
  }

  async function converse(lines: AsyncIterable<string>): Promise<unknown> {
    const answers: unknown[] = [];
    for await (const line of lines) {
      const message = JSON.parse(line) as Message;
      if (message.error !== undefined) throw new Error(`${command}: ${message.error.desc}`);
      if ('QMP' in message) send('qmp_capabilities');
      // Events come in between.
      if (!('return' in message)) continue;
      answers.push(message.return);
      if (answers.length === 2) return message.return;
      send(command, args);
    }
    throw new Error(`${command}: QEMU closed the connection.`);
  }
}
