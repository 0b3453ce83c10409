/** `vmmctl vmci send`: one datagram over VMCI. */
import type { Readable } from 'node:stream';
import { VmmctlCommand } from '../../cli/command.js';
import { arg, option } from '../../cli/flags.js';
import { SystemError } from '../../core/abi/errno.js';
import { handleText, VMCI_INVALID_ID } from '../../core/abi/vmci.js';
import { VMCI_MAX_DG_PAYLOAD_SIZE } from '../../core/abi/vmci-datagram.js';
import { endOf } from './end.js';
import { END_FLAGS, HANDLE_WORDS, handleWord, resolveHandle, resourceId } from './words.js';

export default class VmciSend extends VmmctlCommand<typeof VmciSend> {
  static override summary = 'send a datagram over VMCI';
  static override description =
    'Sends what is on stdin, or the text of --data, as one datagram of at most 69608 bytes. It has arrived when the\n' +
    'command ends well, or waits in a queue of the other side; whether somebody reads it there is not known.';
  static override examples = [
    {
      description: 'To a resource of a VM',
      command: 'vmmctl vmci send web1:500 --data hello',
    },
    {
      description: 'From a guest to its host, with a resource of its own for the answer',
      command: 'echo hello | vmmctl --in web1 vmci send host:5000 --from 501',
    },
  ];
  static override guestView = true;
  static override args = {
    handle: arg({ summary: 'where to, CID:RID', words: HANDLE_WORDS, convert: handleWord }),
  };
  static override flags = {
    data: option({ char: 'd', summary: 'send that text, and not stdin', helpValue: 'TEXT' }),
    from: option({
      summary: 'the resource it comes from; one that is free when left out',
      helpValue: 'RID',
      convert: resourceId,
    }),
    ...END_FLAGS,
  };

  async run(): Promise<void> {
    const { data, from = VMCI_INVALID_ID, json } = this.flags;
    const endpoint = await endOf(this);
    const dst = await resolveHandle(await this.backend(), this.args.handle);
    const payload = data === undefined ? await readAll(this.io.stdin) : Buffer.from(data);
    if (payload.length > VMCI_MAX_DG_PAYLOAD_SIZE) throw tooLong();
    const sent = await endpoint.send(dst, payload, from);
    if (json) this.json({ dst: handleText(dst), sent });
    else
      this.verbose(`sent ${sent} bytes to ${handleText(dst)}, ${payload.length} of them payload`);
  }
}

/** Reads to the end, or until it is too long for a datagram. */
async function readAll(stream: Readable): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of stream as AsyncIterable<Uint8Array>) {
    parts.push(part);
    length += part.length;
    if (length > VMCI_MAX_DG_PAYLOAD_SIZE) throw tooLong();
  }
  return Buffer.concat(parts);
}

function tooLong(): SystemError {
  return new SystemError('EMSGSIZE', {
    message: `a datagram carries ${VMCI_MAX_DG_PAYLOAD_SIZE} bytes at most`,
    hint: "'vmmctl vmci queue' moves more",
  });
}
