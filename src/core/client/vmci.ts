/** The node of VMCI: the version that it speaks, and a context of one's own on it. */
import { SystemError } from '../abi/errno.js';
import { i32, toBytes } from '../abi/layout.js';
import {
  VMCI_NO_PRIVILEGE_FLAGS,
  VMCI_RESERVED_CID_LIMIT,
  VMCI_VERSION_NOVMVM,
  VMCI_VERSION_SHIFT_WIDTH,
} from '../abi/vmci.js';
import { IOCTL_VMCI_INIT_CONTEXT, IOCTL_VMCI_VERSION2, vmci_init_blk } from '../abi/vmci-ioctls.js';
import type { DeviceNode } from '../backend/port/node.js';
import type { Machine } from '../backend/port.js';
import { isOneOf } from './explain.js';
import { type Answer, nodeProbe, type Probe } from './probe.js';

const PATH = '/dev/vmci';

export const VMCI_PROBES: readonly Probe[] = [nodeProbe('vmci', PATH, askVersion)];

async function askVersion(node: DeviceNode): Promise<Answer> {
  const version = formatVersion(await agreeOnVersion(node));
  return { version, detail: `version ${version}`, facts: { version } };
}

/** The version that both sides speak. Holds for this open node alone, and makes no context. */
export async function agreeOnVersion(node: DeviceNode): Promise<number> {
  const argument = toBytes(i32, VMCI_VERSION_NOVMVM);
  return (await node.ioctl(IOCTL_VMCI_VERSION2, argument)).result;
}

function formatVersion(version: number): string {
  const minor = version & ((1 << VMCI_VERSION_SHIFT_WIDTH) - 1);
  return `${version >>> VMCI_VERSION_SHIFT_WIDTH}.${minor}`;
}

/** A node with a context, which lives as long as the node is open. */
export interface VmciContext {
  readonly node: DeviceNode;
  readonly contextId: number;
}

/**
 * Opens /dev/vmci and makes a context on it. Others see that: the kernel's vsock over VMCI answers as a host from
 * then on.
 * @param wanted The id to have if it is free; a higher one is given if it is not.
 * @throws SystemError ENODEV where the machine has no such node, what opening says; EINVAL for an id that can't be had.
 */
export async function openContext(
  machine: Machine,
  wanted = VMCI_RESERVED_CID_LIMIT,
): Promise<VmciContext> {
  const node = await openVmci(machine);
  try {
    await agreeOnVersion(node);
    const request = vmci_init_blk.encode({ cid: wanted, flags: VMCI_NO_PRIVILEGE_FLAGS });
    const { data } = await node.ioctl(IOCTL_VMCI_INIT_CONTEXT, request);
    return { node, contextId: vmci_init_blk.decode(data).cid };
  } catch (error) {
    await node.close();
    throw error;
  }
}

async function openVmci(machine: Machine): Promise<DeviceNode> {
  try {
    return await machine.open(PATH);
  } catch (error) {
    // ENOENT may also be about the machine.
    const isMissing = isOneOf(error, ['ENOENT', 'ENXIO', 'ENODEV']);
    if (!isMissing || (error as SystemError).path !== PATH) throw error;
    // Where one may be the kernel, the machine has VMCI though it has no node.
    const [message, hint] =
      machine.vmci === undefined
        ? [
            'this machine has no VMCI',
            "as root: modprobe vmw_vmci; 'vmmctl doctor' says what there is",
          ]
        : [`this machine has no ${PATH}`, 'without --node and --context one acts as its kernel'];
    throw new SystemError('ENODEV', { message, hint, cause: error });
  }
}
