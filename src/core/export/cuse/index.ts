/**
 * Simulated device nodes as character devices of this machine, by CUSE: VirtualBox's guest device of a VM, and what
 * bhyve has on its host.
 *
 * What the kernel does not carry has these errors: mmap(2) is ENODEV; an ioctl with more than 128 KiB of memory, its
 * buffers counted, is ENOMEM; calls under way when the node goes are ECONNABORTED, later ones ENOTCONN.
 */
import { SystemError } from '../../abi/errno.js';
import type { Keeper } from '../../daemon/keeper.js';
import type { Domain } from '../../simulator/world.js';
import type { Export, ExportMaker } from '../exports.js';
import { type CuseSystem, cuseSystem } from './channel.js';
import { HostNodes } from './host-nodes.js';
import { type OfferedNode, offerNode } from './node.js';
import { vboxRanges } from './ranges.js';

/** The nodes of a guest. The modes are those of Debian's rules for udev. */
const GUEST_NODES = [
  { name: 'vboxguest', mode: 0o660 },
  { name: 'vboxuser', mode: 0o666 },
] as const;

/**
 * Offers /dev/vboxguest and /dev/vboxuser of a VM.
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
    for (const each of GUEST_NODES) nodes.push(offerGuestNode(system, keeper, domain, each));
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
  { name, mode }: (typeof GUEST_NODES)[number],
): OfferedNode {
  return offerNode(system, {
    keeper,
    name,
    mode,
    rangesOf: vboxRanges,
    readError: 'EINVAL',
    open: (caller, access) => {
      const path = `/dev/${name}`;
      // The node outlives the driver, which goes when the guest does.
      if (!machine.nodes().some((node) => node.path === path)) throw new SystemError('ENODEV');
      return machine.open(path, caller, access);
    },
  });
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
