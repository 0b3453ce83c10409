/** The nodes of bhyve's host below this machine's /dev: the one that makes VMs, and one for each VM. */
import { SystemError } from '../../abi/errno.js';
import type { Keeper } from '../../daemon/keeper.js';
import type { NodeKeeper } from '../../daemon/perform-ioctl.js';
import { ROOT } from '../../simulator/node.js';
import type { NodeOptions, OfferedNode } from './node.js';
import { vmmRanges } from './vmm-ranges.js';

/** What the nodes need of the keeper. */
export type HostKeeper = NodeKeeper & Pick<Keeper, 'world' | 'onChange'>;

export type MakeNode = (options: NodeOptions) => OfferedNode;

const CONTROL = 'vmmctl';
/** VMs whose nodes are offered, at most; each takes a descriptor. */
const MAX_VM_NODES = 1024;
/** Who may not open them is told so by the simulated nodes, which know the owner of each VM. */
const MODE = 0o666;

export class HostNodes {
  readonly #make: MakeNode;
  readonly #keeper: HostKeeper;
  readonly #control: OfferedNode;
  /** By the names of their VMs. Undefined for one that can't have a node. */
  readonly #vms = new Map<string, OfferedNode | undefined>();
  readonly #stop: () => void;

  /** @throws SystemError as `make`; ENODEV when the simulated host has no control node. */
  constructor(make: MakeNode, keeper: HostKeeper) {
    this.#make = make;
    this.#keeper = keeper;
    const { host } = keeper.world;
    if (!host.nodes().some(({ path }) => path === `/dev/${CONTROL}`)) {
      throw new SystemError('ENODEV', { message: `this simulated host has no /dev/${CONTROL}` });
    }
    this.#control = this.#offer(CONTROL);
    this.#stop = keeper.onChange(() => this.#follow());
    this.#follow();
  }

  get path(): string {
    return this.#control.path;
  }

  close(): void {
    this.#stop();
    this.#control.close();
    for (const node of this.#vms.values()) node?.close();
    this.#vms.clear();
  }

  /** Nodes come and go with their VMs: a program that makes one finds its node when the call returns. */
  #follow(): void {
    const names = new Set(this.#keeper.world.vmm.visible(ROOT).map(({ name }) => name));
    for (const [name, node] of this.#vms) {
      if (names.has(name)) continue;
      this.#vms.delete(name);
      node?.close();
    }
    for (const name of names) {
      if (!this.#vms.has(name) && this.#vms.size < MAX_VM_NODES) {
        this.#vms.set(name, this.#offerVm(name));
      }
    }
  }

  #offerVm(name: string): OfferedNode | undefined {
    try {
      return this.#offer(`vmm/${name}`);
    } catch (error) {
      this.#keeper.log.write(`/dev/vmm/${name} is not offered: ${String(error)}`);
      return undefined;
    }
  }

  #offer(name: string): OfferedNode {
    return this.#make({
      keeper: this.#keeper,
      name,
      mode: MODE,
      rangesOf: vmmRanges,
      readError: 'ENODEV',
      open: (caller, access) => this.#keeper.world.host.open(`/dev/${name}`, caller, access),
    });
  }
}
