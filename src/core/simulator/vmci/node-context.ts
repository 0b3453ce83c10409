/** The ioctls of /dev/vmci about other contexts, and about a context's state. Source: Linux drivers/misc/vmw_vmci/vmci_host.c. */
import { type Decoded, u32 } from '../../abi/layout.js';
import { VMCI_RESULT } from '../../abi/vmci-errors.js';
import {
  dbell_cpt_state,
  IOCTL_VMCI_CTX_ADD_NOTIFICATION,
  IOCTL_VMCI_CTX_GET_CPT_STATE,
  IOCTL_VMCI_CTX_REMOVE_NOTIFICATION,
  IOCTL_VMCI_CTX_SET_CPT_STATE,
  VMCI_DOORBELL_CPT_STATE,
  VMCI_NOTIFICATION_CPT_STATE,
  VMCI_WELLKNOWN_CPT_STATE,
  vmci_ctx_chkpt_buf_info,
  vmci_ctx_info,
} from '../../abi/vmci-ioctls.js';
import type { VmciContext } from './context.js';
import { type Call, type Change, fail, type Row, row } from './node-rows.js';

type Info = Decoded<typeof vmci_ctx_info>;
type State = Decoded<typeof vmci_ctx_chkpt_buf_info>;

export const CONTEXT_ROWS: readonly [number, Row][] = [
  [IOCTL_VMCI_CTX_ADD_NOTIFICATION, row(vmci_ctx_info, watch)],
  [IOCTL_VMCI_CTX_REMOVE_NOTIFICATION, row(vmci_ctx_info, unwatch)],
  [IOCTL_VMCI_CTX_GET_CPT_STATE, row(vmci_ctx_chkpt_buf_info, getState)],
  [IOCTL_VMCI_CTX_SET_CPT_STATE, row(vmci_ctx_chkpt_buf_info, setState)],
];

function watch({ context }: Call, { remote_cid }: Info): Change<Info> {
  return { result: context.watch(remote_cid) };
}

function unwatch({ context }: Call, { remote_cid }: Info): Change<Info> {
  return { result: context.unwatch(remote_cid) };
}

/** The state of each kind, as bytes. */
const STATES = new Map<number, (context: VmciContext) => Uint8Array>([
  [VMCI_NOTIFICATION_CPT_STATE, watchedState],
  [VMCI_WELLKNOWN_CPT_STATE, () => new Uint8Array(0)],
  [VMCI_DOORBELL_CPT_STATE, doorbellState],
]);

/** MORE_DATA for too few bytes, with those that are needed. */
function getState({ context, memory }: Call, info: State): Change<State> {
  const state = STATES.get(info.cpt_type)?.(context);
  if (state === undefined) return { result: VMCI_RESULT.VMCI_ERROR_INVALID_ARGS };
  const buf_size = state.length;
  if (info.buf_size < buf_size) return { result: VMCI_RESULT.VMCI_ERROR_MORE_DATA, buf_size };
  memory.write(info.cpt_buf, state);
  return { result: VMCI_RESULT.VMCI_SUCCESS, buf_size };
}

/** The longest buffer that Linux copies in one piece, bytes; a longer one is ENOMEM. */
const KMALLOC_MAX_SIZE = 4 * 1024 * 1024;

/** Only the contexts that are watched can be set, until one can't. */
function setState({ context, memory }: Call, info: State): Change<State> {
  const { cpt_buf, cpt_type, buf_size } = info;
  if (buf_size > KMALLOC_MAX_SIZE) fail('ENOMEM');
  const ids = u32s(memory.read(cpt_buf, buf_size));
  if (cpt_type === VMCI_WELLKNOWN_CPT_STATE && ids.length > 0) {
    return { result: VMCI_RESULT.VMCI_ERROR_OBSOLETE };
  }
  if (cpt_type !== VMCI_NOTIFICATION_CPT_STATE) {
    return { result: VMCI_RESULT.VMCI_ERROR_INVALID_ARGS };
  }
  for (const id of ids) {
    const result = context.watch(id);
    if (result !== VMCI_RESULT.VMCI_SUCCESS) return { result };
  }
  return { result: VMCI_RESULT.VMCI_SUCCESS };
}

function watchedState({ watched }: VmciContext): Uint8Array {
  const data = new Uint8Array(watched.length * u32.size);
  const view = new DataView(data.buffer);
  watched.forEach((cid, i) => {
    u32.write(view, i * u32.size, cid);
  });
  return data;
}

/** A context of a program has no bitmap: all indexes are 0. */
function doorbellState({ doorbells }: VmciContext): Uint8Array {
  const data = new Uint8Array(doorbells.length * dbell_cpt_state.size);
  doorbells.forEach((handle, i) => {
    data.set(dbell_cpt_state.encode({ handle }), i * dbell_cpt_state.size);
  });
  return data;
}

/** Bytes that are no whole one are left out. */
function u32s(data: Uint8Array): number[] {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const count = Math.floor(data.length / u32.size);
  return Array.from({ length: count }, (_, i) => u32.read(view, i * u32.size));
}
