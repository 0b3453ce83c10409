/** A connection of a run: who made it, what its two programs are to do, and what must have come of it. */
import type { Socket, SocketType } from '../../src/core/simulator/vsock/socket.js';
import type { End, Plan } from './end.js';
import type { Machine } from './machines.js';

export interface Connection {
  readonly name: string;
  readonly type: SocketType;
  readonly from: Machine;
  readonly to: Machine;
  /** Whether it stays inside one machine, where a reset of the device does not reach it. */
  readonly loopback: boolean;
  readonly socket: Socket;
  readonly plans: { readonly client: Plan; readonly server: Plan };
  client: End | undefined;
  server: End | undefined;
  /** It could not be made. */
  refused: string | undefined;
  /** Something happened to one of its machines. */
  faulted: boolean;
}

/** Whether its programs have nothing more to do. */
export function isOver({ client, server, refused }: Connection): boolean {
  if (client === undefined) return refused !== undefined && server?.closed !== false;
  return client.closed && server?.closed !== false;
}

/** What the options of a run make of connections to which nothing else happens. */
export interface Expectation {
  /** They may be refused, or time out. */
  readonly mayBeRefused: boolean;
  /**
   * They may be cut off: close() waits for 8 s. When the rest of the data takes longer, the closed side answers
   * the reader's news of credit by RST.
   */
  readonly mayCloseTooEarly: boolean;
}

/** @throws Error when bytes were lost, and nobody was told. */
export function checkConnection(connection: Connection, expected: Expectation): void {
  const { client, server, refused, faulted } = connection;
  const untouched = !faulted && refused === undefined;
  if (refused !== undefined && !faulted && !expected.mayBeRefused)
    fail(connection, `refused: ${refused}`);
  if (client !== undefined && server === undefined && untouched) {
    fail(connection, 'was made, but nobody could accept it');
  }
  if (client === undefined || server === undefined) return;
  checkDirection(connection, client, server);
  checkDirection(connection, server, client);
  const polite = client.plan.manner === 'polite' && server.plan.manner === 'polite';
  if (!polite || !untouched || expected.mayCloseTooEarly) return;
  for (const { accepted, plan, sawEnd, errors } of [client, server]) {
    if (accepted !== plan.bytes) fail(connection, `only ${accepted} of ${plan.bytes} were taken`);
    if (!sawEnd) fail(connection, 'was cut off, though nothing happened to it');
    if (errors.length > 0) fail(connection, `failed, though nothing happened: ${errors}`);
  }
}

function checkDirection(connection: Connection, sender: End, receiver: End): void {
  const { received, messagesReceived } = receiver;
  if (received > sender.accepted) fail(connection, `${received} read, ${sender.accepted} sent`);
  const seqpacket = connection.type === 'seqpacket';
  if (seqpacket) {
    const whole = sum(sender.messages.slice(0, messagesReceived));
    if (whole !== received) fail(connection, `${received} read in messages that sum to ${whole}`);
  }
  const complete = seqpacket ? sum(sender.messages) : sender.accepted;
  if (receiver.sawEnd && received !== complete) {
    fail(connection, `the end was read after ${received} of ${complete} bytes, without an error`);
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}

/** One line for the report of a failure. */
export function describeConnection(connection: Connection): string {
  const { name, type, plans, client, server, refused, faulted } = connection;
  const end = (who: string, manner: string, bytes: number, is: End | undefined) =>
    is === undefined
      ? `${who} (${manner}) none`
      : `${who} (${manner}) sent ${is.accepted}/${bytes}, read ${is.received}` +
        `${is.sawEnd ? ' to the end' : ''}, ${is.closed ? 'closed' : is.socket.state}` +
        `${is.errors.length > 0 ? `, ${is.errors}` : ''}`;
  const parts = [
    `${name} ${type}`,
    end('client', plans.client.manner, plans.client.bytes, client),
    end('server', plans.server.manner, plans.server.bytes, server),
  ];
  if (refused !== undefined) parts.push(`refused ${refused}`);
  if (faulted) parts.push('faulted');
  return parts.join('; ');
}

function fail(connection: Connection, what: string): never {
  throw new Error(`${what}\n  ${describeConnection(connection)}`);
}
