/** An end of VMCI in a machine's kernel. */
import { SystemError } from '../abi/errno.js';
import { VMCI_INVALID_ID, type VmciHandleValue } from '../abi/vmci.js';
import type { VmciKernel } from '../backend/port/vmci.js';
import {
  taken,
  toWords,
  type VmciDoorbell,
  type VmciEndpoint,
  type VmciListener,
} from './vmci-endpoint.js';
import { checkVmci, type VmciWords } from './vmci-error.js';
import { readEvent, type VmciEvent } from './vmci-event.js';

export class KernelEndpoint implements VmciEndpoint {
  readonly contextId: number;
  readonly #kernel: VmciKernel;

  constructor(kernel: VmciKernel) {
    this.#kernel = kernel;
    this.contextId = kernel.contextId;
  }

  async listen(resource: number): Promise<VmciListener> {
    const kernel = this.#kernel;
    const { result, handle } = await kernel.createDatagramHandle(resource);
    const made = got(result, handle, taken(this.contextId, resource));
    return { handle: made, receive: (options) => kernel.receiveDatagram(made, options) };
  }

  async send(dst: VmciHandleValue, payload: Uint8Array, from: number): Promise<number> {
    const { handle: src } = await this.listen(from);
    return checkVmci(await this.#kernel.sendDatagram({ dst, src, payload }), toWords(dst));
  }

  async doorbell(resource: number): Promise<VmciDoorbell> {
    const kernel = this.#kernel;
    const wanted = { context: this.contextId, resource };
    const chosen = resource === VMCI_INVALID_ID ? undefined : wanted;
    const { result, handle } = await kernel.createDoorbell(chosen);
    const made = got(result, handle, taken(this.contextId, resource));
    return { handle: made, wait: (options) => kernel.waitDoorbell(made, options) };
  }

  async ring(handle: VmciHandleValue): Promise<void> {
    checkVmci(await this.#kernel.ringDoorbell(handle), toWords(handle));
  }

  async events(options: { signal: AbortSignal }): Promise<AsyncIterable<VmciEvent>> {
    return readAll(await this.#kernel.events(options));
  }

  async watch(): Promise<void> {
    throw new SystemError('EOPNOTSUPP', {
      message: 'only a program can watch a context, and not a kernel',
      hint: 'add --node',
    });
  }
}

async function* readAll(messages: AsyncIterable<Uint8Array>): AsyncGenerator<VmciEvent> {
  for await (const message of messages) {
    const event = readEvent(message);
    if (event !== undefined) yield event;
  }
}

/** @throws SystemError */
function got<T>(result: number, made: T | undefined, words: VmciWords): T {
  checkVmci(result, words);
  if (made !== undefined) return made;
  throw new SystemError('EPROTO', { message: 'VMCI gave no handle' });
}
