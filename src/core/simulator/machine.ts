/** The device trees of the host and of a guest: which path is which node. */
import { type ErrorCode, SystemError } from '../abi/errno.js';
import { u32 } from '../abi/layout.js';
import { IOCTL_VM_SOCKETS_GET_LOCAL_CID } from '../abi/vm-sockets.js';
import type { Access, Caller, IoctlReply, NodeDriver, OpenNode } from './node.js';
import { isWithin } from './vmm/access.js';
import { hasControlNode } from './vmm/config.js';
import { collapseSlashes } from './vmm/names.js';
import type { Vmm } from './vmm/registry.js';
import type { Stack } from './vsock/stack.js';

export interface Machine {
  readonly stack: Stack;
  /** @throws SystemError ENOENT, EACCES, EPERM. */
  open(path: string, caller: Caller, access: Access): OpenNode;
  /** Names in a directory. @throws SystemError ENOENT, ENOTDIR. */
  readdir(path: string, caller: Caller): string[];
  /** @throws SystemError ENOENT. */
  sysctl(name: string, value: string | undefined, caller: Caller): string;
  /** Paths of all nodes that a caller sees, with what they are. */
  nodes(caller: Caller): { path: string; description: string }[];
}

const VMM_DIRECTORY = '/dev/vmm';

export class HostMachine implements Machine {
  readonly stack: Stack;
  readonly #vmm: Vmm;
  readonly #fixed: Map<string, NodeDriver>;

  constructor(vmm: Vmm, stack: Stack) {
    this.#vmm = vmm;
    this.stack = stack;
    this.#fixed = new Map();
    if (hasControlNode(vmm.config.release)) {
      this.#fixed.set('/dev/vmmctl', {
        description: 'creates and destroys VMs (bhyve)',
        open: (caller, access) => vmm.openControl(caller, access),
      });
    }
    this.#fixed.set('/dev/vsock', localCidNode(stack));
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
      return [...this.#vmmDirectory(caller), ...namesBelow('/dev', this.#fixed)];
    return fail(this.#fixed.has(directory) ? 'ENOTDIR' : 'ENOENT', 'scandir', path);
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
  readonly #nodes: Map<string, NodeDriver>;

  constructor(stack: Stack) {
    this.stack = stack;
    this.#nodes = new Map([['/dev/vsock', localCidNode(stack)]]);
  }

  open(path: string, caller: Caller, access: Access): OpenNode {
    return this.#nodes.get(path)?.open(caller, access) ?? fail('ENOENT', 'open', path);
  }

  readdir(path: string): string[] {
    const directory = path.replace(/\/+$/, '');
    if (directory === '/dev') return namesBelow('/dev', this.#nodes);
    return fail(this.#nodes.has(directory) ? 'ENOTDIR' : 'ENOENT', 'scandir', path);
  }

  sysctl(name: string): string {
    return fail('ENOENT', 'sysctl', name);
  }

  nodes(): { path: string; description: string }[] {
    return [...this.#nodes].map(([path, { description }]) => ({ path, description }));
  }
}

/** /dev/vsock: one ioctl, which anybody may call. Source: vsock_dev_do_ioctl in net/vmw_vsock/af_vsock.c. */
function localCidNode(stack: Stack): NodeDriver {
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

function namesBelow(directory: string, nodes: Map<string, unknown>): string[] {
  const prefix = `${directory}/`;
  return [...nodes.keys()].filter((path) => path.startsWith(prefix)).map((path) => path.slice(5));
}

function fail(code: ErrorCode, syscall: string, path: string): never {
  throw new SystemError(code, { syscall, path });
}
