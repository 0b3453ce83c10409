/** The ioctls of HGCM. Follows vbg_ioctl_hgcm_connect() and its neighbours in vboxguest_core.c. */
import { type ErrorCode, errnoOf, SystemError } from '../../../abi/errno.js';
import { HGCMServiceLocation, VMMDEV_MAX_HGCM_PARMS } from '../../../abi/hgcm.js';
import { fromBytes, u32 } from '../../../abi/layout.js';
import { VBOX_STATUS } from '../../../abi/vbox-err.js';
import {
  VBG_USER_PARM_TYPES,
  vbg_ioctl_hgcm_call,
  vbg_ioctl_hgcm_connect_in,
  vbg_ioctl_hgcm_connect_out,
  vbg_ioctl_hgcm_disconnect_in,
} from '../../../abi/vboxguest.js';
import type { PendingIoctl } from '../../node.js';
import { fail, type IoctlCall } from './call.js';
import { FORM_32, FORM_64, type ParameterForm } from './hgcm-forms.js';
import { HgcmParameters } from './hgcm-parameters.js';
import { CLIENT_BUSY } from './session.js';

const LOCATION_OFFSET = vbg_ioctl_hgcm_connect_in.offset('loc');
const CLIENT_OFFSET = vbg_ioctl_hgcm_connect_out.offset('client_id');

/** A number that can't be that of a client. */
function isNoClient(client: number): boolean {
  return client === 0 || client === CLIENT_BUSY;
}

/** @throws SystemError EMFILE (64 clients), ENOMEM. */
export function hgcmConnect(call: IoctlCall): PendingIoctl {
  const { vbg, clients, requestor } = call.session;
  const slot = clients.indexOf(0);
  if (slot < 0) fail('EMFILE', 'the node has all the clients that it can have');
  const location = call.data.slice(LOCATION_OFFSET, LOCATION_OFFSET + HGCMServiceLocation.size);
  return beginRequest(call, slot, 0, (end) =>
    vbg.hgcm.connect(location, requestor, (status, client) => {
      const connected = status >= 0 ? client : 0;
      clients[slot] = connected;
      call.view.setUint32(CLIENT_OFFSET, connected, true);
      end(status);
    }),
  );
}

/** @throws SystemError EINVAL for a client that is not this node's; ENOMEM. */
export function hgcmDisconnect(call: IoctlCall): PendingIoctl {
  const { vbg, clients, requestor } = call.session;
  const { client_id: client } = call.decode(vbg_ioctl_hgcm_disconnect_in);
  const slot = isNoClient(client) ? -1 : clients.indexOf(client);
  if (slot < 0) fail('EINVAL', `client ${client} is not this node's`);
  return beginRequest(call, slot, client, (end) =>
    vbg.hgcm.disconnect(client, requestor, (status) => {
      clients[slot] = status >= 0 ? 0 : client;
      end(status);
    }),
  );
}

/** A client's place is busy while the host works on it; no signal ends that. */
function beginRequest(
  call: IoctlCall,
  slot: number,
  before: number,
  begin: (end: (status: number) => void) => void,
): PendingIoctl {
  const { clients } = call.session;
  const pending = call.wait(() => undefined);
  clients[slot] = CLIENT_BUSY;
  try {
    begin((status) => {
      call.rc = status;
      call.end();
    });
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    clients[slot] = before;
    call.end(error.code);
  }
  return pending;
}

export const hgcmCall64 = (call: IoctlCall) => hgcmCall(call, FORM_64);
export const hgcmCall32 = (call: IoctlCall) => hgcmCall(call, FORM_32);

/**
 * @throws SystemError EINVAL (sizes, client, types of parameters), E2BIG (more than 32 parameters), EFAULT, ENOMEM. When
 *   it waits: also EINTR and ETIMEDOUT.
 */
function hgcmCall(call: IoctlCall, form: ParameterForm): PendingIoctl | undefined {
  const bytes = checkCall(call, form);
  const { vbg, requestor } = call.session;
  const { client_id: client, function: fn, timeout_ms } = call.decode(vbg_ioctl_hgcm_call);
  const parameters = new HgcmParameters(vbg, form.widen(bytes), call.memory);
  let address: number;
  try {
    address = parameters.prepare({ requestor, client, function: fn });
  } catch (error) {
    parameters.release();
    if (!(error instanceof SystemError)) throw error;
    return answerFailure(call, error.code);
  }
  let interrupt = () => {};
  const pending = call.wait(() => interrupt());
  interrupt = vbg.hgcm.call(address, timeout_ms, (error, leaked) => {
    const failure = error ?? takeResult(call, address, parameters, form, bytes);
    if (leaked) parameters.forget();
    else parameters.release();
    if (failure === 'EFAULT') logFailure(call, failure);
    call.end(failure);
  });
  // What the call woke up may have closed the node meanwhile.
  if (!call.session.open) interrupt();
  return pending;
}

/** The bytes of the parameters. The answer has no more than these. @throws SystemError EINVAL, E2BIG. */
function checkCall(call: IoctlCall, form: ParameterForm): Uint8Array {
  const { size_in, size_out } = call.header;
  if (size_in < vbg_ioctl_hgcm_call.size || size_in !== size_out) fail('EINVAL');
  const { client_id: client, parm_count } = call.decode(vbg_ioctl_hgcm_call);
  if (parm_count > VMMDEV_MAX_HGCM_PARMS) fail('E2BIG', 'a call has at most 32 parameters');
  if (isNoClient(client)) fail('EINVAL', `${client} is no client`);
  const size = vbg_ioctl_hgcm_call.size + parm_count * form.size;
  if (size_in < size) fail('EINVAL', `the parameters take ${size} bytes`);
  call.sizeOut = size;
  const bytes = call.data.subarray(vbg_ioctl_hgcm_call.size, size);
  for (let at = 0; at < bytes.length; at += form.size) {
    const type = fromBytes(u32, bytes.subarray(at));
    if (!VBG_USER_PARM_TYPES.includes(type)) fail('EINVAL', `${type} is no type for parameters`);
  }
  if (!call.session.clients.includes(client)) {
    fail('EINVAL', `client ${client} is not this node's`);
  }
  return bytes;
}

function takeResult(
  call: IoctlCall,
  address: number,
  parameters: HgcmParameters,
  form: ParameterForm,
  target: Uint8Array,
): ErrorCode | undefined {
  call.rc = call.session.vbg.hgcm.result(address);
  try {
    parameters.copyBack();
  } catch (error) {
    if (error instanceof SystemError) return error.code;
    throw error;
  }
  form.narrow(parameters.bytes, target);
  return undefined;
}

/** What is too large is told by the status and not by an error. */
function answerFailure(call: IoctlCall, code: ErrorCode): undefined {
  if (code !== 'E2BIG') {
    logFailure(call, code);
    fail(code);
  }
  call.rc = VBOX_STATUS.VERR_OUT_OF_RANGE;
  return undefined;
}

function logFailure(call: IoctlCall, code: ErrorCode): void {
  const errno = -errnoOf(code, 'linux');
  call.session.vbg.log.printLimited(`VBG_IOCTL_HGCM_CALL error: ${errno}`);
}
