/** `vmmctl vmci queue create`: makes a queue pair and joins stdin and stdout to it. */
import { VmmctlCommand } from '../../../cli/command.js';
import { UsageError } from '../../../cli/errors.js';
import { arg, option } from '../../../cli/flags.js';
import { parseSize } from '../../../cli/parse.js';
import { createQueuePair } from '../../../core/client/vmci-queue.js';
import { resolveCid } from '../../../core/client/vsock.js';
import { withNearNames } from '../../vm-name.js';
import { peerCid } from '../../vsock/words.js';
import { handleWord, resolveHandle } from '../words.js';
import { joinStdio, kernelOf, tellHandle } from './joined.js';

export default class VmciQueueCreate extends VmmctlCommand<typeof VmciQueueCreate> {
  static override summary = 'make a queue pair of VMCI, and join stdin and stdout to it';
  static override description =
    'Says the handle of the pair on stderr, waits until somebody attaches, and then moves bytes through memory that\n' +
    'both have. SIZE is that of each direction; both have at most 128M together. End of input closes the sending\n' +
    'half; the command ends when the other end has closed its half too.';
  static override examples = [
    {
      description: 'Send a directory to a guest',
      command: 'tar -cf - docs | vmmctl vmci queue create 4M',
    },
    {
      description: 'From a guest to its host alone, with a handle that is known before',
      command: 'vmmctl --in web1 vmci queue create 64K --peer host --handle web1:2000 < report.txt',
    },
  ];
  static override guestView = true;
  static override args = {
    size: arg({ summary: 'bytes of each queue', convert: queueSize }),
  };
  static override flags = {
    peer: option({
      summary: 'who may attach: a CID, the name of a VM or host; anybody when left out',
      helpValue: 'CID',
      convert: peerCid,
    }),
    handle: option({
      summary: 'its handle; a free one when left out',
      helpValue: 'CID:RID',
      convert: handleWord,
    }),
    'receive-size': option({
      summary: 'bytes of the queue that is read; SIZE when left out',
      helpValue: 'SIZE',
      convert: queueSize,
    }),
  };

  async run(): Promise<void> {
    const { peer, handle } = this.flags;
    const { size } = this.args;
    const backend = await this.backend();
    const kernel = await kernelOf(this);
    const stream = await createQueuePair(kernel, {
      handle: handle && (await resolveHandle(backend, handle)),
      peer: peer === undefined ? undefined : await this.#cid(peer),
      produceSize: size,
      consumeSize: this.flags['receive-size'] ?? size,
    });
    tellHandle(this, stream);
    await joinStdio(this, stream);
  }

  async #cid(word: string): Promise<number> {
    const backend = await this.backend();
    try {
      return await resolveCid(backend, word);
    } catch (error) {
      throw await withNearNames(error, backend, word);
    }
  }
}

/** A queue of one byte or less carries nothing. @throws UsageError */
function queueSize(text: string): number {
  const size = parseSize(text);
  if (size >= 2) return size;
  throw new UsageError(
    `a queue of ${size} bytes has no room`,
    'it holds one byte less than its size',
  );
}
