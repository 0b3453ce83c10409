/** `vmmctl vmci receive`: datagrams over VMCI. */
import { once } from 'node:events';
import { VmmctlCommand } from '../../cli/command.js';
import { optionalArg, optionOr } from '../../cli/flags.js';
import { parseInteger } from '../../cli/parse.js';
import { handleText, VMCI_INVALID_ID } from '../../core/abi/vmci.js';
import type { VmciDatagram } from '../../core/backend/port/vmci.js';
import { endOf, tellListening } from './end.js';
import { datagramJson } from './view.js';
import { END_FLAGS, resourceId } from './words.js';

export default class VmciReceive extends VmmctlCommand<typeof VmciReceive> {
  static override summary = 'receive datagrams over VMCI';
  static override description =
    'Waits for datagrams to a resource of the own context, and writes the payload of each to stdout as it is. Says\n' +
    'on stderr on which handle it listens. With --json each datagram is a document on a line, with its source.';
  static override examples = [
    { description: 'The next datagram', command: 'vmmctl --in web1 vmci receive 500' },
    {
      description: 'Two of them, with where they come from',
      command: 'vmmctl vmci receive 5000 --count 2 --json',
    },
  ];
  static override bounded = true;
  static override guestView = true;
  static override args = {
    rid: optionalArg({
      summary: 'the resource; a free one when left out',
      convert: resourceId,
    }),
  };
  static override flags = {
    count: optionOr('1', {
      char: 'c',
      summary: 'end after so many datagrams; 0 is without end',
      helpValue: 'N',
      convert: parseInteger(0, Number.MAX_SAFE_INTEGER),
    }),
    ...END_FLAGS,
  };

  async run(): Promise<void> {
    const { count } = this.flags;
    const endpoint = await endOf(this);
    const listener = await endpoint.listen(this.args.rid ?? VMCI_INVALID_ID);
    tellListening(this, handleText(listener.handle));
    this.endWithReader();
    const { signal } = this;
    for (let seen = 0; count === 0 || seen < count; seen++) {
      await this.#show(await listener.receive({ signal }));
    }
  }

  async #show(datagram: VmciDatagram): Promise<void> {
    const { json, count } = this.flags;
    if (json) return this.json(datagramJson(datagram), count === 1 && this.io.isTty.stdout);
    const { src, payload } = datagram;
    this.verbose(`${payload.length} bytes from ${handleText(src)}`);
    const { stdout } = this.io;
    if (!stdout.write(payload)) await once(stdout, 'drain');
  }
}
