/** The device trees of the host and of a guest: which path is which node. */
import { type ErrorCode, SystemError } from '../abi/errno.js';
import { u32 } from '../abi/layout.js';
import { IOCTL_VM_SOCKETS_GET_LOCAL_CID } from '../abi/vm-sockets.js';
import type { Access, Caller, IoctlReply, NodeDriver, OpenNode, PromptNode } from './node.js';
import type { VboxVm } from './vbox/vbox-vm.js';
import { vmciNode } from './vmci/node.js';
import type { KernelApi } from './vmci/parts.js';
import type { GuestVmci, Vmci } from './vmci/vmci.js';
import { isWithin } from './vmm/access.js';
import { hasControlNode } from './vmm/config.js';
import { collapseSlashes } from './vmm/names.js';
import type { Vmm } from './vmm/registry.js';
import type { Stack } from './vsock/stack.js';

export interface Machine {
  readonly stack: Stack;
  /** VMCI as its kernel has it; undefined without. */
  readonly vmci: KernelApi | undefined;
  /** @throws SystemError ENOENT, EACCES, EPERM. */
  open(path: string, caller: Caller, access: Access): OpenNode;
  /** Names in a directory. @throws SystemError ENOENT, ENOTDIR. */
  readdir(path: string, caller: Caller): string[];
  /** A file of the kernel. @throws SystemError ENOENT. */
  readFile(path: string, caller: Caller): Uint8Array;
  /** @throws SystemError ENOENT. */
  sysctl(name: string, value: string | undefined, caller: Caller): string;
  /** Paths of all nodes that a caller sees, with what they are. */
  nodes(caller: Caller): { path: string; description: string }[];
}

const VMM_DIRECTORY = '/dev/vmm';
const VMCI_PATH = '/dev/vmci';

export class HostMachine implements Machine {
  readonly stack: Stack;
  readonly vmci: KernelApi;
  readonly #vmm: Vmm;
  readonly #fixed: Map<string, NodeDriver<PromptNode>>;

  constructor(vmm: Vmm, stack: Stack, vmci: Vmci) {
    this.#vmm = vmm;
    this.stack = stack;
    this.vmci = vmci.host;
    this.#fixed = new Map();
    if (hasControlNode(vmm.config.release)) {
      this.#fixed.set('/dev/vmmctl', {
        description: 'creates and destroys VMs (bhyve)',
        open: (caller, access) => vmm.openControl(caller, access),
      });
    }
    this.#fixed.set('/dev/vsock', localCidNode(stack));
    this.#fixed.set(VMCI_PATH, vmciNode(vmci.host));
  }

  open(path: string, caller: Caller, access: Access): OpenNode {
    const fixed = this.#fixed.get(path);
    if (fixed !== undefined) return fixed.open(caller, access);
    if (path.startsWith(`${VMM_DIRECTORY}/`)) {
      return this.#vmm.openVm(path.slice(VMM_DIRECTORY.length + 1), caller, access);
    }
    return fail('ENOENT', 'open', path);
  }

  readdir(path: string, caller: Caller): string[] {
    const directory = path.replace(/\/+$/, '');
    if (`${directory}/`.startsWith(`${VMM_DIRECTORY}/`)) {
      return this.#vmm.readdir(collapseSlashes(directory.slice('/dev/'.length)), caller);
    }
    if (directory === '/dev')
      return [...this.#vmmDirectory(caller), ...namesBelow('/dev', this.#fixed.keys())];
    return fail(this.#fixed.has(directory) ? 'ENOTDIR' : 'ENOENT', 'scandir', path);
  }

  readFile(path: string): Uint8Array {
    return fail('ENOENT', 'open', path);
  }

  sysctl(name: string, value: string | undefined, caller: Caller): string {
    return this.#vmm.sysctl(name, value, caller);
  }

  nodes(): { path: string; description: string }[] {
    return [...this.#fixed].map(([path, { description }]) => ({ path, description }));
  }

  /** devfs has a directory only while something is in it. */
  #vmmDirectory(caller: Caller): string[] {
    return this.#vmm.all().some((vm) => isWithin(vm.creator.jail, caller.jail)) ? ['vmm'] : [];
  }
}

export class GuestMachine implements Machine {
  readonly stack: Stack;
  readonly #vsock: NodeDriver;
  readonly #vbox: VboxVm;
  readonly #vmci: GuestVmci;

  constructor(stack: Stack, vbox: VboxVm, vmci: GuestVmci) {
    this.stack = stack;
    this.#vsock = localCidNode(stack);
    this.#vbox = vbox;
    this.#vmci = vmci;
  }

  get vmci(): KernelApi | undefined {
    return this.#vmci.kernel;
  }

  open(path: string, caller: Caller, access: Access): OpenNode {
    return this.#nodes().get(path)?.open(caller, access) ?? fail('ENOENT', 'open', path);
  }

  readdir(path: string): string[] {
    const directory = path.replace(/\/+$/, '');
    const paths = [...this.#nodes().keys(), ...this.#vbox.files().keys()];
    const names = namesBelow(directory, paths);
    if (names.length > 0) return names;
    return fail(paths.includes(directory) ? 'ENOTDIR' : 'ENOENT', 'scandir', path);
  }

  readFile(path: string): Uint8Array {
    const text = this.#vbox.files().get(path);
    return text === undefined ? fail('ENOENT', 'open', path) : asciiBytes(text());
  }

  sysctl(name: string): string {
    return fail('ENOENT', 'sysctl', name);
  }

  nodes(): { path: string; description: string }[] {
    return [...this.#nodes()].map(([path, { description }]) => ({ path, description }));
  }

  #nodes(): Map<string, NodeDriver> {
    const nodes = new Map([['/dev/vsock', this.#vsock]]);
    const { driver } = this.#vmci;
    if (driver.profile.node) nodes.set(VMCI_PATH, vmciNode(driver));
    for (const [path, node] of this.#vbox.nodes()) nodes.set(path, node);
    return nodes;
  }
}

/** /dev/vsock: one ioctl, which anybody may call. Source: vsock_dev_do_ioctl in net/vmw_vsock/af_vsock.c. */
function localCidNode(stack: Stack): NodeDriver<PromptNode> {
  const ioctl = (request: number): IoctlReply => {
    if (request !== IOCTL_VM_SOCKETS_GET_LOCAL_CID) fail('ENOTTY', 'ioctl', '/dev/vsock');
    const data = new Uint8Array(u32.size);
    u32.write(new DataView(data.buffer), 0, stack.cid);
    return { result: 0, data };
  };
  return {
    description: "tells the machine's own CID",
    open: () => ({ ioctl, close: () => undefined }),
  };
}

/** Names in a directory that is there because something below it is. */
function namesBelow(directory: string, paths: Iterable<string>): string[] {
  const prefix = `${directory}/`;
  const names = new Set<string>();
  for (const path of paths) {
    const [name = ''] = path.startsWith(prefix) ? path.slice(prefix.length).split('/') : [];
    if (name !== '') names.add(name);
  }
  return [...names];
}

/** Files of the kernel have ASCII alone. */
function asciiBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function fail(code: ErrorCode, syscall: string, path: string): never {
  throw new SystemError(code, { syscall, path });
}
