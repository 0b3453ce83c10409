/**
 * Simulated device nodes as character devices of this machine, by CUSE: VirtualBox's guest device and the node of VMCI of
 * a VM, and what bhyve has on its host.
 *
 * What the kernel does not carry has these errors: mmap(2) is ENODEV; an ioctl with more than 128 KiB of memory, its
 * buffers counted, is ENOMEM; calls under way when the node goes are ECONNABORTED, later ones ENOTCONN.
 */
import { SystemError } from '../../abi/errno.js';
import type { Keeper } from '../../daemon/keeper.js';
import type { Domain } from '../../simulator/domain.js';
import type { Access, Caller } from '../../simulator/node.js';
import type { Export, ExportMaker } from '../exports.js';
import { type CuseSystem, cuseSystem } from './channel.js';
import { HostNodes } from './host-nodes.js';
import { type OfferedNode, offerNode } from './node.js';
import { type RangesOf, vboxRanges } from './ranges.js';
import { vmciRanges } from './vmci-ranges.js';

interface GuestNode {
  readonly name: string;
  readonly mode: number;
  readonly rangesOf: RangesOf;
  /** Left out where this machine has a node of that name. */
  readonly optional?: boolean;
}

/** The nodes of a guest. The modes are those of Debian's rules for udev, and of the kernel itself. */
const GUEST_NODES: readonly GuestNode[] = [
  { name: 'vboxguest', mode: 0o660, rangesOf: vboxRanges },
  { name: 'vboxuser', mode: 0o666, rangesOf: vboxRanges },
  { name: 'vmci', mode: 0o600, rangesOf: vmciRanges, optional: true },
];

/**
 * Offers /dev/vboxguest, /dev/vboxuser and /dev/vmci of a VM.
 * @throws SystemError EEXIST when this machine has such nodes already, ENODEV without CUSE or when the guest has no such
 *   device, EACCES, EOPNOTSUPP where no system calls can be made.
 */
export const exportCuse: ExportMaker = async (keeper, domain) => {
  const system = await cuseSystem();
  if (domain.vbox.nodes().size === 0) {
    throw new SystemError('ENODEV', { message: "the guest doesn't have VirtualBox's device" });
  }
  const nodes: OfferedNode[] = [];
  try {
    for (const each of GUEST_NODES) {
      const node = offerGuestNode(system, keeper, domain, each);
      if (node !== undefined) nodes.push(node);
    }
  } catch (error) {
    for (const node of nodes) node.close();
    throw error;
  }
  return exported(
    nodes.map(({ path }) => path),
    () => {
      for (const node of nodes) node.close();
    },
  );
};

function offerGuestNode(
  system: CuseSystem,
  keeper: Keeper,
  { machine }: Domain,
  { name, mode, rangesOf, optional = false }: GuestNode,
): OfferedNode | undefined {
  const path = `/dev/${name}`;
  const isThere = () => machine.nodes().some((node) => node.path === path);
  const open = (caller: Caller, access: Access) => {
    // The node outlives the driver, which goes when the guest does.
    if (!isThere()) throw new SystemError('ENODEV');
    return machine.open(path, caller, access);
  };
  if (optional && !isThere()) return undefined;
  try {
    return offerNode(system, { keeper, name, mode, rangesOf, readError: 'EINVAL', open });
  } catch (error) {
    if (optional && error instanceof SystemError && error.code === 'EEXIST') return undefined;
    throw error;
  }
}

/**
 * Offers the host's /dev/vmmctl, and /dev/vmm/NAME of each VM that is there then or comes later.
 * @throws SystemError as `exportCuse`; ENODEV when the simulated host has no /dev/vmmctl.
 */
export async function exportHostCuse(keeper: Keeper): Promise<Export> {
  const system = await cuseSystem();
  const nodes = new HostNodes((options) => offerNode(system, options), keeper);
  return exported([nodes.path], () => nodes.close());
}

function exported(paths: readonly string[], close: () => void): Export {
  return { kind: 'cuse', paths, close };
}
