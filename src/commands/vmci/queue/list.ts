/** `vmmctl vmci queue list`: the queue pairs that the caller's kernel sees. */
import { VmmctlCommand } from '../../../cli/command.js';
import { flag } from '../../../cli/flags.js';
import { formatSize } from '../../../cli/parse.js';
import { handleText } from '../../../core/abi/vmci.js';
import { pairFlagNames, pairStateName } from '../../../core/abi/vmci-queue-pair.js';
import type { VmciQueuePairRecord, VmciQueueState } from '../../../core/backend/port/vmci.js';
import { kernelOf } from './joined.js';

export default class VmciQueueList extends VmmctlCommand<typeof VmciQueueList> {
  static override summary = 'show queue pairs of VMCI';
  static override description =
    'All of the host, or with --in those that a guest is an end of or may attach to: state, the contexts of both ends,\n' +
    'who may attach, and of each queue its size and the bytes that wait to be read. PRODUCE is what the guest writes,\n' +
    'or the creator of a pair within one machine.';
  static override examples = [
    { description: 'All queue pairs', command: 'vmmctl vmci queue list' },
    {
      description: 'Their handles, for a script',
      command: "vmmctl vmci queue list --json | jq --raw-output '.[].handle'",
    },
  ];
  static override guestView = true;
  static override flags = {
    'no-header': flag({ char: 'H', summary: 'leave the header out' }),
  };

  async run(): Promise<void> {
    const pairs = await (await kernelOf(this)).queuePairs();
    pairs.sort(({ handle: a }, { handle: b }) => {
      return a.context - b.context || a.resource - b.resource;
    });
    if (this.flags.json) this.json(pairs.map(pairJson));
    else await this.table(pairs, COLUMNS, { header: !this.flags['no-header'] });
  }
}

function pairJson(pair: VmciQueuePairRecord): object {
  return {
    ...pair,
    handle: handleText(pair.handle),
    state: pairStateName(pair.state),
    flags: pairFlagNames(pair.flags),
  };
}

const context = (cid: number | null) => (cid === null ? '-' : String(cid));
const ready = (queue: VmciQueueState | null) => (queue === null ? '-' : formatSize(queue.ready));

const COLUMNS = [
  { name: 'handle', text: ({ handle }: VmciQueuePairRecord) => handleText(handle) },
  { name: 'state', text: ({ state }: VmciQueuePairRecord) => pairStateName(state) },
  { name: 'creator', text: ({ creator }: VmciQueuePairRecord) => context(creator) },
  { name: 'attacher', text: ({ attacher }: VmciQueuePairRecord) => context(attacher) },
  { name: 'peer', text: ({ peer }: VmciQueuePairRecord) => (peer === null ? '*' : String(peer)) },
  {
    name: 'produce',
    align: 'right' as const,
    text: ({ produceSize }: VmciQueuePairRecord) => formatSize(produceSize),
  },
  {
    name: 'waits',
    align: 'right' as const,
    text: ({ produce }: VmciQueuePairRecord) => ready(produce),
  },
  {
    name: 'consume',
    align: 'right' as const,
    text: ({ consumeSize }: VmciQueuePairRecord) => formatSize(consumeSize),
  },
  {
    name: 'waits',
    align: 'right' as const,
    text: ({ consume }: VmciQueuePairRecord) => ready(consume),
  },
];
