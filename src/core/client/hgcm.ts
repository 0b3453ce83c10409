/** Calls to services of VirtualBox's host, by HGCM: a client of a service, and functions with parameters. */
import { SystemError } from '../abi/errno.js';
import {
  HGCMFunctionParameter64,
  HGCMFunctionParameter64_value,
  VMMDEV_HGCM_LOC,
  VMMDEV_HGCM_PARM_TYPE,
} from '../abi/hgcm.js';
import { VBOX_STATUS } from '../abi/vbox-err.js';
import {
  VBG_IOCTL_HGCM_CALL_64,
  VBG_IOCTL_HGCM_CONNECT,
  VBG_IOCTL_HGCM_DISCONNECT,
  VBG_IOCTL_SIZES,
  vbg_ioctl_hgcm_call,
  vbg_ioctl_hgcm_connect_in,
  vbg_ioctl_hgcm_connect_out,
  vbg_ioctl_hgcm_disconnect_in,
} from '../abi/vboxguest.js';
import type { CallOptions, DeviceNode } from '../backend/port/node.js';
import { vboxCall, vboxCallOk } from './vbox-call.js';
import { type StatusWords, vboxError } from './vbox-error.js';

/** Bytes of a service's name, without the NUL that ends it. */
export const MAX_SERVICE_NAME = 127;
const FOR_EVER = 0xffffffff;
const PARAMETER = HGCMFunctionParameter64;
const VALUE = HGCMFunctionParameter64_value;

/** A parameter. What a call writes into the data of `out` and `inout` is there when it has ended. */
export type HgcmParameter =
  | { type: 'u32'; value: number }
  | { type: 'u64'; value: bigint }
  | { type: 'in' | 'out' | 'inout'; data: Uint8Array };

export interface HgcmAnswer {
  /** The service's, or the host's; negative for a failure. */
  status: number;
  /** As the call left them. */
  parameters: HgcmParameter[];
}

export interface HgcmCallOptions extends CallOptions {
  /** The driver gives up after that time; it waits for ever when left out. */
  timeoutMs?: number | undefined;
}

/**
 * A new client of a service, by its number; the node's last close ends it too.
 * @throws SystemError ENOENT for a service that the host does not have, EACCES when it refuses the client, EMFILE when
 *   there are too many, EINVAL for a name that is too long.
 */
export async function hgcmConnect(
  node: DeviceNode,
  service: string,
  words: StatusWords = noService(service),
): Promise<number> {
  const name = new TextEncoder().encode(service);
  if (name.length > MAX_SERVICE_NAME) {
    throw new SystemError('EINVAL', {
      message: `the name of a service has ${MAX_SERVICE_NAME} bytes at most`,
    });
  }
  const loc = { type: VMMDEV_HGCM_LOC.VMMDevHGCMLoc_LocalHost_Existing, achName: name };
  const { status, data } = await vboxCall(
    node,
    {
      request: VBG_IOCTL_HGCM_CONNECT,
      argument: vbg_ioctl_hgcm_connect_in.encode({ loc }),
      sizeOut: VBG_IOCTL_SIZES.VBG_IOCTL_HGCM_CONNECT.out,
    },
    { blocks: true },
  );
  if (status < 0 || status === VBOX_STATUS.VINF_HGCM_CLIENT_REJECTED) {
    throw vboxError(status, words);
  }
  return vbg_ioctl_hgcm_connect_out.decode(data).client_id;
}

/** @throws SystemError EINVAL for a client that the node does not have. */
export async function hgcmDisconnect(node: DeviceNode, client: number): Promise<void> {
  const call = {
    request: VBG_IOCTL_HGCM_DISCONNECT,
    argument: vbg_ioctl_hgcm_disconnect_in.encode({ client_id: client }),
    sizeOut: VBG_IOCTL_SIZES.VBG_IOCTL_HGCM_DISCONNECT.out,
  };
  await vboxCallOk(node, call, { blocks: true });
}

/**
 * Calls a function of a service. It may take as long as the service likes.
 * @throws SystemError E2BIG for more than 32 parameters, ETIMEDOUT, EINTR, EINVAL for a client that the node does not
 *   have. What the service answers is a status, and no error.
 */
export async function hgcmCall(
  node: DeviceNode,
  client: number,
  functionNumber: number,
  parameters: readonly HgcmParameter[],
  { timeoutMs = FOR_EVER, signal }: HgcmCallOptions = {},
): Promise<HgcmAnswer> {
  const head = vbg_ioctl_hgcm_call.encode({
    client_id: client,
    function: functionNumber,
    timeout_ms: timeoutMs,
    interruptible: 1,
    parm_count: parameters.length,
  });
  const given = parameters.map(copyOf);
  const placed = given.map((parameter, i) => ({ parameter, at: head.length + i * PARAMETER.size }));
  const argument = Buffer.concat([head, ...given.map(encodeParameter)]);
  const pointers = placed.flatMap(({ parameter, at }) =>
    'data' in parameter ? [{ at: at + PARAMETER.offset('linearAddr'), to: parameter.data }] : [],
  );
  const { status, data } = await vboxCall(
    node,
    {
      request: VBG_IOCTL_HGCM_CALL_64(argument.length),
      argument,
      sizeOut: argument.length,
    },
    { signal, blocks: true, pointers },
  );
  return {
    status,
    parameters: placed.map(({ parameter, at }) => readParameter(parameter, data.subarray(at))),
  };
}

/** Uses a service for a while. A client whose use failed lives until the node is closed. */
export async function withService<T>(
  node: DeviceNode,
  service: string,
  use: (client: number) => Promise<T>,
): Promise<T> {
  const client = await hgcmConnect(node, service);
  const result = await use(client);
  await hgcmDisconnect(node, client);
  return result;
}

function noService(service: string): StatusWords {
  return {
    VERR_HGCM_SERVICE_NOT_FOUND: [`no host service '${service}'`],
    VINF_HGCM_CLIENT_REJECTED: [`the service '${service}' takes no client`],
  };
}

/** The caller's own buffers stay as they are. */
function copyOf(parameter: HgcmParameter): HgcmParameter {
  return 'data' in parameter ? { ...parameter, data: parameter.data.slice() } : { ...parameter };
}

const TYPES = {
  u32: VMMDEV_HGCM_PARM_TYPE.VMMDevHGCMParmType_32bit,
  u64: VMMDEV_HGCM_PARM_TYPE.VMMDevHGCMParmType_64bit,
  in: VMMDEV_HGCM_PARM_TYPE.VMMDevHGCMParmType_LinAddr_In,
  out: VMMDEV_HGCM_PARM_TYPE.VMMDevHGCMParmType_LinAddr_Out,
  inout: VMMDEV_HGCM_PARM_TYPE.VMMDevHGCMParmType_LinAddr,
} as const;

/** Addresses of buffers are put there by the backend. */
function encodeParameter(parameter: HgcmParameter): Uint8Array {
  const type = TYPES[parameter.type];
  if ('data' in parameter) return PARAMETER.encode({ type, size: parameter.data.length });
  const encoded = new Uint8Array(PARAMETER.size);
  encoded.set(VALUE.encode({ type, value64: BigInt(parameter.value) }));
  return encoded;
}

/** A value as the call left it; buffers have been written to already. */
function readParameter(parameter: HgcmParameter, encoded: Uint8Array): HgcmParameter {
  if ('data' in parameter) return parameter;
  const { value64 } = VALUE.decode(encoded);
  return parameter.type === 'u32'
    ? { type: 'u32', value: Number(BigInt.asUintN(32, value64)) }
    : { type: 'u64', value: value64 };
}
