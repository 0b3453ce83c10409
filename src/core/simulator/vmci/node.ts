/**
 * /dev/vmci of one machine. Each open node may have one context, which ends with it. What the calls do stands in tables;
 * here is what all have in common. Source: Linux drivers/misc/vmw_vmci/vmci_host.c.
 */
import { SystemError } from '../../abi/errno.js';
import { type Decoded, i32, toBytes, u32 } from '../../abi/layout.js';
import { POLLIN } from '../../abi/poll.js';
import {
  VMCI_HOST_CONTEXT_ID,
  VMCI_INVALID_ID,
  VMCI_PRIVILEGE_FLAG_RESTRICTED,
  VMCI_VERSION,
  VMCI_VERSION_HOSTQP,
} from '../../abi/vmci.js';
import {
  IOCTL_VMCI_GET_CONTEXT_ID,
  IOCTL_VMCI_INIT_CONTEXT,
  IOCTL_VMCI_VERSION,
  IOCTL_VMCI_VERSION2,
  vmci_init_blk,
} from '../../abi/vmci-ioctls.js';
import {
  type Caller,
  hasCapability,
  type IoctlReply,
  NO_USER_MEMORY,
  type NodeDriver,
  type PromptNode,
  type UserMemory,
} from '../node.js';
import type { VmciContext } from './context.js';
import type { VmciDriver } from './driver.js';
import { CONTEXT_ROWS } from './node-context.js';
import { DATAGRAM_ROWS } from './node-datagrams.js';
import { NOTIFY_ROWS } from './node-notify.js';
import { QUEUE_PAIR_ROWS } from './node-queue-pairs.js';
import { changed, fail, type Row, read } from './node-rows.js';

const OWNER = 0;

/** Those that need a context. */
const ROWS: ReadonlyMap<number, Row> = new Map([
  ...DATAGRAM_ROWS,
  ...NOTIFY_ROWS,
  ...CONTEXT_ROWS,
  ...QUEUE_PAIR_ROWS,
]);

/** The node, with its mode 0600 of root. */
export function vmciNode(driver: VmciDriver): NodeDriver<PromptNode> {
  return {
    description: 'contexts, datagrams and queue pairs between programs and the kernel (VMCI)',
    open: (caller) => {
      const mayOpen = caller.uid === OWNER || hasCapability(caller, 'CAP_DAC_OVERRIDE');
      if (!mayOpen) throw new SystemError('EACCES', { syscall: 'open', path: '/dev/vmci' });
      return new VmciNode(driver, caller);
    },
  };
}

class VmciNode implements PromptNode {
  readonly #driver: VmciDriver;
  readonly #caller: Caller;
  /** What its program said, an s32; 0 is nothing. */
  #version = 0;
  #context: VmciContext | undefined;
  #listener: (() => void) | undefined;

  constructor(driver: VmciDriver, caller: Caller) {
    this.#driver = driver;
    this.#caller = caller;
  }

  /** @throws SystemError EINVAL (unknown, out of order, too old a version), EFAULT, ENOMEM, EBADF (closed). */
  ioctl(
    request: number,
    argument: Uint8Array | number,
    memory: UserMemory = NO_USER_MEMORY,
  ): IoctlReply {
    switch (request) {
      case IOCTL_VMCI_VERSION:
        return { result: this.#agreed() };
      case IOCTL_VMCI_VERSION2:
        this.#version = read(i32, argument);
        return { result: this.#agreed() };
      case IOCTL_VMCI_INIT_CONTEXT:
        return this.#init(argument);
      case IOCTL_VMCI_GET_CONTEXT_ID:
        read(u32, argument);
        return changed(argument, toBytes(u32, VMCI_HOST_CONTEXT_ID));
      default:
        return this.#callRow(request, argument, memory);
    }
  }

  pollMask(): number {
    return this.#context?.pending === true ? POLLIN : 0;
  }

  onPollChange(listener: (() => void) | undefined): void {
    this.#listener = listener;
  }

  close(): void {
    if (this.#context === undefined) return;
    this.#driver.contexts.destroy(this.#context);
    this.#context = undefined;
    this.#driver.hostUsers--;
  }

  /** An old version is its program's affair, any other the driver's. */
  #agreed(): number {
    const isOld = this.#version > 0 && this.#version < VMCI_VERSION_HOSTQP;
    return isOld ? this.#version : VMCI_VERSION;
  }

  #init(argument: Uint8Array | number): IoctlReply {
    const { cid, flags } = read<Decoded<typeof vmci_init_blk>>(vmci_init_blk, argument);
    const refused =
      (flags & ~VMCI_PRIVILEGE_FLAG_RESTRICTED) !== 0 ||
      this.#context !== undefined ||
      this.#version === 0 ||
      cid === VMCI_INVALID_ID;
    if (refused) fail('EINVAL');
    const options = { version: this.#version, owner: this.#caller };
    const context = this.#driver.createContext(cid, flags, options);
    context.onArrival = () => this.#listener?.();
    this.#context = context;
    this.#driver.hostUsers++;
    return changed(argument, vmci_init_blk.encode({ cid: context.cid, flags }));
  }

  #callRow(request: number, argument: Uint8Array | number, memory: UserMemory): IoctlReply {
    const row = ROWS.get(request);
    if (row === undefined || this.#context === undefined) return fail('EINVAL');
    const { since = this.#version, before } = row;
    const outdated = before !== undefined && this.#version >= before;
    if (this.#version < since || outdated) return fail('EINVAL');
    const call = {
      driver: this.#driver,
      context: this.#context,
      version: this.#version,
      memory,
    };
    return row.run(call, argument);
  }
}
