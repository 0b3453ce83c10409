/** The ioctls of /dev/vmci for doorbells and for the notify byte. Source: Linux drivers/misc/vmw_vmci/vmci_host.c. */
import type { Decoded } from '../../abi/layout.js';
import { VMCI_NO_PRIVILEGE_FLAGS, VMCI_VERSION_NOTIFY, vmci_handle } from '../../abi/vmci.js';
import { VMCI_RESULT } from '../../abi/vmci-errors.js';
import {
  IOCTL_VMCI_NOTIFICATIONS_RECEIVE,
  IOCTL_VMCI_NOTIFY_RESOURCE,
  IOCTL_VMCI_SET_NOTIFY,
  VMCI_NOTIFY_RESOURCE_ACTION_CREATE,
  VMCI_NOTIFY_RESOURCE_ACTION_DESTROY,
  VMCI_NOTIFY_RESOURCE_ACTION_NOTIFY,
  VMCI_NOTIFY_RESOURCE_DOOR_BELL,
  vmci_ctx_notify_recv_info,
  vmci_dbell_notify_resource_info,
  vmci_set_notify_info,
} from '../../abi/vmci-ioctls.js';
import { VMCI_PAGE_SIZE } from '../../abi/vmci-queue.js';
import { type Call, type Change, fail, type Row, row } from './node-rows.js';
import type { Handle } from './parts.js';

const SINCE = { since: VMCI_VERSION_NOTIFY };

export const NOTIFY_ROWS: readonly [number, Row][] = [
  [IOCTL_VMCI_NOTIFY_RESOURCE, row(vmci_dbell_notify_resource_info, notifyResource, SINCE)],
  [IOCTL_VMCI_NOTIFICATIONS_RECEIVE, row(vmci_ctx_notify_recv_info, receive, SINCE)],
  [IOCTL_VMCI_SET_NOTIFY, row(vmci_set_notify_info, setNotify)],
];

type Resource = Decoded<typeof vmci_dbell_notify_resource_info>;

const ACTIONS = new Map<number, (call: Call, info: Resource) => number>([
  [VMCI_NOTIFY_RESOURCE_ACTION_NOTIFY, ring],
  [VMCI_NOTIFY_RESOURCE_ACTION_CREATE, ({ context }, { handle }) => context.createDoorbell(handle)],
  [
    VMCI_NOTIFY_RESOURCE_ACTION_DESTROY,
    ({ context }, { handle }) => context.destroyDoorbell(handle),
  ],
]);

function notifyResource(call: Call, info: Resource): Change<Resource> {
  const act = ACTIONS.get(info.action);
  return { result: act?.(call, info) ?? VMCI_RESULT.VMCI_ERROR_INVALID_ARGS };
}

/** Only a ring asks what kind of resource it is. */
function ring({ driver, context }: Call, { handle, resource }: Resource): number {
  if (resource !== VMCI_NOTIFY_RESOURCE_DOOR_BELL) return VMCI_RESULT.VMCI_ERROR_UNAVAILABLE;
  return driver.notifyDoorbell(context.cid, handle, VMCI_NO_PRIVILEGE_FLAGS);
}

type Received = Decoded<typeof vmci_ctx_notify_recv_info>;

/** Hands over what was rung, or nothing; queue pairs never ring. @throws SystemError EINVAL for a size without an address. */
function receive({ context, memory }: Call, info: Received): Change<Received> {
  const { db_handle_buf_uva: address, db_handle_buf_size: room } = info;
  const noRoom = room !== 0n && address === 0n;
  if (noRoom || (info.qp_handle_buf_size !== 0n && info.qp_handle_buf_uva === 0n)) fail('EINVAL');
  const handles = encodeHandles(context.rung);
  if (BigInt(handles.length) > room) return { result: VMCI_RESULT.VMCI_ERROR_MORE_DATA };
  memory.write(address, handles);
  context.clearRung();
  const size = BigInt(handles.length);
  return { result: VMCI_RESULT.VMCI_SUCCESS, db_handle_buf_size: size, qp_handle_buf_size: 0n };
}

function encodeHandles(handles: readonly Handle[]): Uint8Array {
  const data = new Uint8Array(handles.length * vmci_handle.size);
  handles.forEach((handle, i) => {
    data.set(vmci_handle.encode(handle), i * vmci_handle.size);
  });
  return data;
}

type NotifyInfo = Decoded<typeof vmci_set_notify_info>;

function setNotify({ context, memory }: Call, { notify_uva }: NotifyInfo): Change<NotifyInfo> {
  if (notify_uva === 0n) {
    context.clearNotify();
    return { result: VMCI_RESULT.VMCI_SUCCESS };
  }
  if (context.hasNotify) return { result: VMCI_RESULT.VMCI_ERROR_DUPLICATE_ENTRY };
  const offset = Number(notify_uva % BigInt(VMCI_PAGE_SIZE));
  const page = memory.pin?.(notify_uva - BigInt(offset), VMCI_PAGE_SIZE);
  if (page === undefined) return { result: VMCI_RESULT.VMCI_ERROR_GENERIC };
  const byte = page.view(offset, 1);
  context.setNotify((value) => {
    byte[0] = value;
  });
  return { result: VMCI_RESULT.VMCI_SUCCESS };
}
