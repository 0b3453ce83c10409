/** `vmmctl vsock list`: every vsock socket of a machine, with its credit. */
import { VmmctlCommand } from '../../cli/command.js';
import { CodeError } from '../../cli/errors.js';
import { flag } from '../../cli/flags.js';
import { VMADDR_CID_ANY, VMADDR_PORT_ANY } from '../../core/abi/vm-sockets.js';
import type { SocketRecord, VsockAddress } from '../../core/backend/port/vsock.js';

export default class VsockList extends VmmctlCommand<typeof VsockList> {
  static override summary = 'show vsock sockets';
  static override description =
    'Every socket of the host, or with --in of a guest: type, state, addresses, bytes that wait to be read, bytes\n' +
    'that the peer has not yet taken, and how many more it would take. Of a listener RECV-Q is the number of\n' +
    'connections that wait, and SEND-Q the most that may.';
  static override examples = [
    { description: 'Sockets of the host', command: 'vmmctl vsock list' },
    {
      description: 'Sockets of a guest, for a script',
      command: 'vmmctl --in web1 vsock list --json',
    },
  ];
  static override guestView = true;
  static override flags = {
    'no-header': flag({ char: 'H', summary: 'leave the header out' }),
    listening: flag({ char: 'l', summary: 'only sockets that listen' }),
  };

  async run(): Promise<void> {
    const backend = await this.backend();
    const machine = backend.machine(this.machine);
    if (machine.diag === undefined) {
      throw new CodeError('EOPNOTSUPP', `the backend '${backend.uri}' can't list sockets`);
    }
    const all = await machine.diag();
    const sockets = all.filter(({ state }) => !this.flags.listening || state === 'listen');
    sockets.sort((a, b) => a.local.port - b.local.port || a.state.localeCompare(b.state));
    if (this.flags.json) {
      this.json(sockets);
      return;
    }
    await this.table(sockets, COLUMNS, { header: !this.flags['no-header'] });
  }
}

const COLUMNS = [
  { name: 'type', text: (row: SocketRecord) => row.type },
  { name: 'state', text: (row: SocketRecord) => row.state },
  {
    name: 'recv-q',
    align: 'right' as const,
    text: (row: SocketRecord) => String(row.recvQueue ?? '-'),
  },
  {
    name: 'send-q',
    align: 'right' as const,
    text: (row: SocketRecord) => String(row.sendQueue ?? '-'),
  },
  {
    name: 'credit',
    align: 'right' as const,
    text: (row: SocketRecord) => String(row.credit ?? '-'),
  },
  { name: 'local', text: (row: SocketRecord) => addressText(row.local) },
  { name: 'peer', text: (row: SocketRecord) => (row.peer ? addressText(row.peer) : '*') },
];

function addressText({ cid, port }: VsockAddress): string {
  const part = (number: number, any: number) => (number === any ? '*' : String(number));
  return `${part(cid, VMADDR_CID_ANY)}:${part(port, VMADDR_PORT_ANY)}`;
}
