/** A simulated guest whose nodes are offered to the kernel of the tests. */
import { HGCMFunctionParameter64, VMMDEV_HGCM_PARM_TYPE } from '../../../../src/core/abi/hgcm.js';
import {
  VBG_IOCTL_HDR_VERSION,
  VBG_IOCTL_HGCM_CALL_64,
  VBG_IOCTL_HGCM_CONNECT,
  vbg_ioctl_hdr,
  vbg_ioctl_hgcm_call,
  vbg_ioctl_hgcm_connect_in,
  vbg_ioctl_hgcm_connect_out,
} from '../../../../src/core/abi/vboxguest.js';
import { vboxRanges } from '../../../../src/core/export/cuse/ranges.js';
import { CuseSession } from '../../../../src/core/export/cuse/session.js';
import { vmciRanges } from '../../../../src/core/export/cuse/vmci-ranges.js';
import { vmmRanges } from '../../../../src/core/export/cuse/vmm-ranges.js';
import { ROOT } from '../../../../src/core/simulator/node.js';
import { allocMemseg, mapMemseg } from '../../../helpers/vmm.js';
import { testKeeper } from './keeper.js';
import { FakeKernel, type Outcome } from './kernel.js';

const MEMORY = 64n * 1024n * 1024n;

/** The host's control node. */
export function hostNode(path = '/dev/vmmctl') {
  const keeper = testKeeper();
  const kernel = new FakeKernel();
  const open: CuseSession['target']['open'] = (caller, access) =>
    keeper.world.host.open(path, caller, access);
  const target = { keeper, path, open, rangesOf: vmmRanges, readError: 'ENODEV' as const };
  const session = new CuseSession(target, kernel.send);
  kernel.receive = (message) => session.receive(message);
  return { keeper, kernel, session };
}

/** A node of a VM's guest. */
export function guestNode(path = '/dev/vboxguest') {
  const keeper = testKeeper();
  keeper.create('web1');
  const vm = keeper.world.host.open('/dev/vmm/web1', ROOT, 'rw');
  allocMemseg(vm, 0, MEMORY);
  mapMemseg(vm, { gpa: 0n, len: MEMORY });
  keeper.digest();
  const domain = keeper.world.domain('web1', ROOT);
  const kernel = new FakeKernel();
  const open: CuseSession['target']['open'] = (caller, access) =>
    domain.machine.open(path, caller, access);
  const rangesOf = path === '/dev/vmci' ? vmciRanges : vboxRanges;
  const target = { keeper, path, open, rangesOf, readError: 'EINVAL' as const };
  const session = new CuseSession(target, kernel.send);
  kernel.receive = (message) => session.receive(message);
  return { keeper, domain, kernel, session };
}

/** The argument of a call: its header, with the rest. */
export function argument(body: Uint8Array, sizeOut: number, type = 0): Uint8Array {
  const fields = { version: VBG_IOCTL_HDR_VERSION, type, rc: -225 };
  const size_in = vbg_ioctl_hdr.size + body.length;
  const header = vbg_ioctl_hdr.encode({ ...fields, size_in, size_out: sizeOut });
  return Buffer.concat([header, body]);
}

/** A program's buffer, as a parameter. */
export function buffer(
  type: 'LinAddr' | 'LinAddr_In' | 'LinAddr_Out',
  linearAddr: bigint,
  size: number,
): Uint8Array {
  const number = VMMDEV_HGCM_PARM_TYPE[`VMMDevHGCMParmType_${type}`];
  return HGCMFunctionParameter64.encode({ type: number, size, linearAddr });
}

/** A value of 32 (1) or 64 bits (2), as a parameter. */
export function value(type: 1 | 2): Uint8Array {
  return HGCMFunctionParameter64.encode({ type });
}

/** Connects to the guest properties; gives the client. */
export async function connect(kernel: FakeKernel, fh: bigint): Promise<number> {
  const body = new Uint8Array(vbg_ioctl_hgcm_connect_in.size - vbg_ioctl_hdr.size);
  body[0] = 2;
  body.set(new TextEncoder().encode('VBoxGuestPropSvc'), 4);
  const at = kernel.place(0, argument(body, vbg_ioctl_hgcm_connect_out.size));
  const outcome = await kernel.ioctl(fh, VBG_IOCTL_HGCM_CONNECT, at);
  if (typeof outcome === 'string') throw new Error(outcome);
  return vbg_ioctl_hgcm_connect_out.decode(kernel.memory).client_id;
}

/** The bytes of a call of HGCM, 64 bits. */
export function callBytes(client: number, fn: number, parameters: readonly Uint8Array[]) {
  const fields = { client_id: client, function: fn, timeout_ms: 0xffffffff };
  const call = vbg_ioctl_hgcm_call.encode({ ...fields, parm_count: parameters.length });
  const body = Buffer.concat([call.subarray(vbg_ioctl_hdr.size), ...parameters]);
  return argument(body, vbg_ioctl_hdr.size + body.length);
}

/** Makes a call of HGCM; the argument is at the beginning of the program's memory. */
export function call(
  kernel: FakeKernel,
  fh: bigint,
  client: number,
  fn: number,
  parameters: readonly Uint8Array[],
): Promise<Outcome> {
  const bytes = callBytes(client, fn, parameters);
  return kernel.ioctl(fh, VBG_IOCTL_HGCM_CALL_64(bytes.length), kernel.place(0, bytes));
}
