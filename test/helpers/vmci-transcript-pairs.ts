/** The transcript's last part: queue pairs, and what older versions have. */
import { VMCI_INVALID_ID } from '../../src/core/abi/vmci.js';
import * as abi from '../../src/core/abi/vmci-ioctls.js';
import {
  VMCI_QPFLAG_ATTACH_ONLY,
  VMCI_QPFLAG_LOCAL,
  VMCI_QPFLAG_NONBLOCK,
  VMCI_QPFLAG_PINNED,
} from '../../src/core/abi/vmci-queue-pair.js';
import { at, type TranscriptStep, type VmciLab } from './vmci-transcript.js';
import { CONTEXTS, DOORBELLS, doorbell, NOTIFY_FLAG } from './vmci-transcript-doorbells.js';
import { DATAGRAMS, START } from './vmci-transcript-start.js';

const ANY = VMCI_INVALID_ID;
const [A, B] = [7, 16];
const PAGE = 4096;
/** A page for each header, two and one for the queues. */
const PAGES = 5;
const PAIR = at(A, 5000);
const UNKNOWN_FLAG = 0x10;
const UNMAPPED = 0x1000n;

type Handle = ReturnType<typeof at>;

interface Wish {
  readonly node?: string;
  readonly handle?: Handle;
  readonly peer?: number;
  readonly flags?: number;
  readonly produce?: number;
  readonly consume?: number;
  readonly address?: bigint;
  readonly pages?: number;
  /** Name of the memory. */
  readonly memory?: string;
}

async function alloc(lab: VmciLab, wish: Wish) {
  const { node = 'a', handle = PAIR, peer = 2, flags = 0, memory = 'pair' } = wish;
  const { produce = 2 * PAGE, consume = PAGE, pages = PAGES } = wish;
  const ppn_va = wish.address ?? (await lab.memory(memory, PAGES * PAGE)).address;
  return lab.struct(node, abi.IOCTL_VMCI_QUEUEPAIR_ALLOC, abi.vmci_qp_alloc_info, {
    handle,
    peer,
    flags,
    produce_size: BigInt(produce),
    consume_size: BigInt(consume),
    ppn_va,
    num_ppns: BigInt(pages),
    result: 7,
    version: 0,
  });
}

/** `more` is what the transcript prints besides the result. */
function allocStep(name: string, result: number, wish: Wish, more = ''): TranscriptStep {
  return {
    line: `QP ${name} -> ${result}${more}`,
    run: async (lab) => `QP ${name} -> ${(await alloc(lab, wish)).value.result}${more}`,
  };
}

async function setVa(lab: VmciLab, node: string, handle: Handle, va: bigint) {
  const layout = abi.vmci_qp_set_va_info;
  const info = { ...layout.zero(), handle, va, num_ppns: BigInt(PAGES), result: 7 };
  return lab.struct(node, abi.IOCTL_VMCI_QUEUEPAIR_SETVA, layout, info);
}

function setVaStep(name: string, handle: Handle, mapped: boolean, result: number): TranscriptStep {
  return {
    line: `SETVA ${name} -> 0 result ${result}`,
    run: async (lab) => {
      const va = mapped ? (await lab.memory('pair', PAGES * PAGE)).address : 0n;
      const { text, value } = await setVa(lab, 'a', handle, va);
      return `SETVA ${name} -> ${text} result ${value.result}`;
    },
  };
}

async function setPageFile(lab: VmciLab, node: string, handle: Handle) {
  const { address } = await lab.memory('old', 4 * PAGE);
  const layout = abi.vmci_qp_page_file_info;
  const vas = { produce_va: address, consume_va: address + BigInt(2 * PAGE) };
  const info = { ...layout.zero(), handle, ...vas, result: 7 };
  return lab.struct(node, abi.IOCTL_VMCI_QUEUEPAIR_SETPAGEFILE, layout, info);
}

async function detach(lab: VmciLab, node: string, handle: Handle): Promise<string> {
  const info = { handle, result: 7, _pad: 0 };
  const layout = abi.vmci_qp_dtch_info;
  const { text, value } = await lab.struct(node, abi.IOCTL_VMCI_QUEUEPAIR_DETACH, layout, info);
  return `${text} result ${value.result}`;
}

const PAIRS: readonly TranscriptStep[] = [
  allocStep('alloc LOCAL', -2, { flags: VMCI_QPFLAG_LOCAL }, ' r 0'),
  allocStep('alloc bad flag', -2, { flags: UNKNOWN_FLAG }),
  allocStep('alloc zero sizes', -2, { produce: 0, consume: 0 }),
  allocStep('alloc invalid handle', -2, { handle: at(ANY, ANY) }),
  allocStep('alloc num_ppns 1', -2, { pages: 1 }),
  allocStep('alloc >128MiB', -19, { produce: 128 * 1024 * 1024, consume: 1 }),
  allocStep('alloc attach-only missing', -21, { flags: VMCI_QPFLAG_ATTACH_ONLY }),
  allocStep('alloc handle ctx neither me nor peer', -7, { handle: at(B, 5000) }),
  allocStep('alloc peer VM', -10, { peer: B }),
  allocStep('alloc bad memory', -3, { address: UNMAPPED }),
  allocStep('alloc ok', 0, {}, ' (num_ppns=5)'),
  allocStep('alloc again same ctx', -22, {}),
  {
    line: 'QP attach by other VM -> 0 result -10',
    run: async (lab) => {
      const { text, value } = await alloc(lab, {
        node: 'b',
        flags: VMCI_QPFLAG_ATTACH_ONLY,
        memory: 'other',
      });
      return `QP attach by other VM -> ${text} result ${value.result}`;
    },
  },
  allocStep('create, one-sided (consume 0)', 0, {
    handle: at(A, 5001),
    consume: 0,
    memory: 'one-sided',
  }),
  allocStep('create NONBLOCK|PINNED', 0, {
    handle: at(A, 5002),
    flags: VMCI_QPFLAG_NONBLOCK | VMCI_QPFLAG_PINNED,
    memory: 'pinned',
  }),
  setVaStep('unmap', PAIR, false, 0),
  setVaStep('unmap twice', PAIR, false, 0),
  setVaStep('map', PAIR, true, 0),
  setVaStep('unknown', at(A, 5999), false, -21),
  {
    line: 'SETPAGEFILE on 11.0 -> -1 errno 22',
    run: async (lab) => `SETPAGEFILE on 11.0 -> ${(await setPageFile(lab, 'a', PAIR)).text}`,
  },
  {
    line: 'QP detach -> 0 result 0',
    run: async (lab) => `QP detach -> ${await detach(lab, 'a', PAIR)}`,
  },
  {
    line: 'QP detach again -> 0 result -21',
    run: async (lab) => `QP detach again -> ${await detach(lab, 'a', PAIR)}`,
  },
];

const OLD_PAIR = at(40, 5000);

function oldPageFileStep(name: string, result: number): TranscriptStep {
  return {
    line: `old SETPAGEFILE${name} -> 0 result ${result}`,
    run: async (lab) => {
      const { text, value } = await setPageFile(lab, 'old', OLD_PAIR);
      return `old SETPAGEFILE${name} -> ${text} result ${value.result}`;
    },
  };
}

/** Whether a context of a version may have doorbells. */
function versionStep(major: number, answer: string): TranscriptStep {
  return {
    line: `${major}.0 NOTIFY_RESOURCE -> ${answer}`,
    run: async (lab) => {
      const cid = await lab.context('version', 41, major);
      const action = abi.VMCI_NOTIFY_RESOURCE_ACTION_CREATE;
      const { text, value } = await doorbell(lab, 'version', at(cid, 1), action);
      await lab.close('version');
      const result = text === '0' ? ` result ${value.result}` : '';
      return `${major}.0 NOTIFY_RESOURCE -> ${text}${result}`;
    },
  };
}

const OLD_VERSIONS: readonly TranscriptStep[] = [
  {
    line: 'old 10.0 QP alloc -> 0 result 4',
    run: async (lab) => {
      await lab.context('old', 40, 10);
      const layout = abi.vmci_qp_alloc_info_vmvm;
      const sizes = { produce_size: BigInt(PAGE), consume_size: BigInt(PAGE) };
      const info = { ...layout.zero(), handle: OLD_PAIR, peer: 2, ...sizes, result: 7 };
      const request = abi.IOCTL_VMCI_QUEUEPAIR_ALLOC;
      const { text, value } = await lab.struct('old', request, layout, info);
      return `old 10.0 QP alloc -> ${text} result ${value.result}`;
    },
  },
  {
    line: 'old SETVA -> -1 errno 22',
    run: async (lab) => `old SETVA -> ${(await setVa(lab, 'old', OLD_PAIR, 0n)).text}`,
  },
  oldPageFileStep('', 0),
  oldPageFileStep(' twice', -20),
  {
    line: 'old detach -> 0 result 3',
    run: async (lab) => {
      const text = await detach(lab, 'old', OLD_PAIR);
      await lab.close('old');
      return `old detach -> ${text}`;
    },
  },
  versionStep(10, '0 result 0'),
  versionStep(9, '-1 errno 22'),
];

/** A handle that the kernel chooses is not told. */
const CHOSEN: TranscriptStep = {
  line: 'alloc resource=~0 -> 0 result 0 handle in arg 21:ffffffff',
  run: async (lab) => {
    const cid = await lab.context('chosen', 33);
    const wish = { node: 'chosen', handle: at(cid, ANY), memory: 'chosen' };
    const { text, value } = await alloc(lab, wish);
    await lab.close('chosen');
    const { context, resource } = value.handle;
    const handle = `${context.toString(16)}:${resource.toString(16)}`;
    return `alloc resource=~0 -> ${text} result ${value.result} handle in arg ${handle}`;
  },
};

/** All of test/fixtures/vmci/basic.log, in its order. */
export const VMCI_TRANSCRIPT: readonly TranscriptStep[] = [
  ...START,
  ...DATAGRAMS,
  ...DOORBELLS,
  ...NOTIFY_FLAG,
  ...CONTEXTS,
  ...PAIRS,
  ...OLD_VERSIONS,
  CHOSEN,
];
