/** The ioctls of /dev/vmci for queue pairs; queue-pairs.ts has what they mean. Source: Linux drivers/misc/vmw_vmci/vmci_host.c. */
import type { Decoded } from '../../abi/layout.js';
import {
  VMCI_NO_PRIVILEGE_FLAGS,
  VMCI_VERSION_HOSTQP,
  VMCI_VERSION_NOVMVM,
} from '../../abi/vmci.js';
import { VMCI_RESULT } from '../../abi/vmci-errors.js';
import {
  IOCTL_VMCI_QUEUEPAIR_ALLOC,
  IOCTL_VMCI_QUEUEPAIR_DETACH,
  IOCTL_VMCI_QUEUEPAIR_SETPAGEFILE,
  IOCTL_VMCI_QUEUEPAIR_SETVA,
  vmci_qp_alloc_info,
  vmci_qp_alloc_info_vmvm,
  vmci_qp_dtch_info,
  vmci_qp_page_file_info,
  vmci_qp_set_va_info,
} from '../../abi/vmci-ioctls.js';
import { VMCI_PAGE_SIZE } from '../../abi/vmci-queue.js';
import type { UserMemory } from '../node.js';
import { type Call, type Change, type Row, row } from './node-rows.js';
import type { PageStore } from './queue-pairs-entry.js';

type Alloc = Decoded<typeof vmci_qp_alloc_info>;
type OldAlloc = Decoded<typeof vmci_qp_alloc_info_vmvm>;
type SetVa = Decoded<typeof vmci_qp_set_va_info>;
type PageFile = Decoded<typeof vmci_qp_page_file_info>;
type Detach = Decoded<typeof vmci_qp_dtch_info>;

const ALLOC = row(vmci_qp_alloc_info, alloc);
const OLD_ALLOC = row(vmci_qp_alloc_info_vmvm, oldAlloc);

export const QUEUE_PAIR_ROWS: readonly [number, Row][] = [
  [
    IOCTL_VMCI_QUEUEPAIR_ALLOC,
    {
      run: (call, argument) =>
        (call.version < VMCI_VERSION_NOVMVM ? OLD_ALLOC : ALLOC).run(call, argument),
    },
  ],
  [IOCTL_VMCI_QUEUEPAIR_SETVA, row(vmci_qp_set_va_info, setVa, { since: VMCI_VERSION_NOVMVM })],
  [
    IOCTL_VMCI_QUEUEPAIR_SETPAGEFILE,
    row(vmci_qp_page_file_info, setPageFile, {
      since: VMCI_VERSION_HOSTQP,
      before: VMCI_VERSION_NOVMVM,
    }),
  ],
  [IOCTL_VMCI_QUEUEPAIR_DETACH, row(vmci_qp_dtch_info, detach)],
];

/** The handle that is chosen for a resource of VMCI_INVALID_ID is not told. */
function alloc(call: Call, request: Alloc): Change<Alloc> {
  const store = pageStore(call.memory, request.ppn_va, Number(request.num_ppns));
  return { result: allocate(call, request, store) };
}

/** Its pages come later, by SETPAGEFILE. */
function oldAlloc(call: Call, request: OldAlloc): Change<OldAlloc> {
  const result = allocate(call, request, undefined);
  const { VMCI_SUCCESS, VMCI_SUCCESS_QUEUEPAIR_CREATE } = VMCI_RESULT;
  return { result: result === VMCI_SUCCESS ? VMCI_SUCCESS_QUEUEPAIR_CREATE : result };
}

function allocate(
  { driver, context }: Call,
  request: Pick<Alloc, 'handle' | 'peer' | 'flags' | 'produce_size' | 'consume_size'>,
  store: PageStore | undefined,
): number {
  const { handle, peer, flags, produce_size, consume_size } = request;
  const entry = driver.broker.alloc(context, {
    handle,
    peer,
    flags,
    privileges: VMCI_NO_PRIVILEGE_FLAGS,
    // What is rounded is far over the limit.
    produceSize: Number(produce_size),
    consumeSize: Number(consume_size),
    store,
  });
  return typeof entry === 'number' ? entry : VMCI_RESULT.VMCI_SUCCESS;
}

function setVa({ driver, context, memory }: Call, { handle, va, num_ppns }: SetVa): Change<SetVa> {
  const { broker } = driver;
  const result =
    va === 0n
      ? broker.unmap(context, handle)
      : broker.map(context, handle, pageStore(memory, va, Number(num_ppns)));
  return { result };
}

function setPageFile({ driver, context, memory }: Call, info: PageFile): Change<PageFile> {
  const { handle, produce_va, consume_va } = info;
  const store = (va: bigint) => (va === 0n ? undefined : pageStore(memory, va, 0));
  const stores = { produce: store(produce_va), consume: store(consume_va) };
  return { result: driver.broker.setPageStore(context, handle, stores) };
}

function detach({ driver, context, version }: Call, { handle }: Detach): Change<Detach> {
  const result = driver.broker.detach(context, handle);
  const isLast = result === VMCI_RESULT.VMCI_SUCCESS && version < VMCI_VERSION_NOVMVM;
  return { result: isLast ? VMCI_RESULT.VMCI_SUCCESS_LAST_DETACH : result };
}

/** Pages of the program from an address on, which need not be where a page begins. */
function pageStore(memory: UserMemory, address: bigint, pages: number): PageStore {
  const start = address - (address % BigInt(VMCI_PAGE_SIZE));
  return { pages, pin: (bytes) => memory.pin?.(start, bytes) };
}
