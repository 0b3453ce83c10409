/**
 * A VM while it is ours: from when it is made until it is let go, or ended. Its own node is kept open, since that
 * tells whether this very VM is still there; a name may have gone to another one.
 */
import { SystemError } from '../abi/errno.js';
import type { CallOptions, DeviceNode } from '../backend/port/node.js';
import type { Machine } from '../backend/port.js';
import { codeOf } from './explain.js';
import type { VmControl } from './vmm-control.js';
import { isAlive, openVm } from './vmm-nodes.js';

export class NewVm {
  readonly name: string;
  /** Whether it was made. */
  exists = false;
  readonly #machine: Machine;
  readonly #control: VmControl;
  #node: DeviceNode | undefined;

  constructor(name: string, machine: Machine, control: VmControl) {
    this.name = name;
    this.#machine = machine;
    this.#control = control;
  }

  /** Opens its node, which stays open. */
  async open(options: CallOptions): Promise<DeviceNode> {
    this.#node = await openVm(this.#machine, this.name, options);
    return this.#node;
  }

  /** Closes its node, so that whoever holds the rest need not ask it. */
  async forget(): Promise<void> {
    const node = this.#node;
    this.#node = undefined;
    await node?.close();
  }

  /** Closes what it was made with; the kernel does what it was told to do then. */
  async close(): Promise<void> {
    await this.#control.close();
  }

  /** Closes everything. False when it went with what it was made with; without a look it is taken to be there. */
  async letGo({ look }: { look: boolean }): Promise<boolean> {
    try {
      await this.close();
      return !look || this.#node === undefined || (await isAlive(this.#node));
    } finally {
      await this.forget();
    }
  }

  /**
   * Destroys it if it is still there, and closes everything.
   * @throws SystemError when it could not be destroyed.
   */
  async end(): Promise<void> {
    try {
      if (this.#node === undefined || (await isAlive(this.#node))) await this.#destroy();
    } finally {
      await this.forget().catch(() => undefined);
      await this.close();
    }
  }

  /**
   * Takes back what was made so far, and closes everything; gives the error to report. Not under the caller's
   * signal: what was begun is undone also when the user interrupts.
   */
  async undo(error: unknown): Promise<unknown> {
    const left = this.exists ? await this.#destroy().catch((reason: unknown) => reason) : undefined;
    await this.forget().catch(() => undefined);
    await this.close().catch(() => undefined);
    // When all calls fail for one reason, as when the host is gone, that reason says enough.
    if (!(left instanceof SystemError) || codeOf(left) === codeOf(error)) return error;
    const reason = error instanceof Error ? error.message : String(error);
    return new SystemError(codeOf(error) ?? left.code, {
      message: `${reason}; ${left.message}`,
      hint: left.hint,
      cause: left,
    });
  }

  /** One that is gone, or on its way out, is no error. */
  async #destroy(): Promise<void> {
    try {
      await this.#control.destroy(this.name);
    } catch (error) {
      const code = codeOf(error);
      if (code === 'EINVAL') return;
      if (code === undefined || code === 'ECONNRESET') throw error;
      throw new SystemError(code, {
        message: `VM '${this.name}' could not be destroyed, and is still there`,
        hint: `'vmmctl destroy ${this.name}' tries again`,
        cause: error,
      });
    }
  }
}
