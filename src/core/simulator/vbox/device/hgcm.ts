/**
 * HGCM: connections of the guest to services of the host, and calls. A request is answered at once by "comes later"; when
 * its service ends it, result and parameters are written to the guest's memory and an event tells of it. Services may end
 * a call before it is answered. Sources: VirtualBox' VMMDevHGCM.cpp and HGCM.cpp.
 */
import {
  VBOX_HGCM_REQ_DONE,
  VMMDevHGCMCall,
  VMMDevHGCMCancel2,
  VMMDevHGCMConnect,
  VMMDevHGCMDisconnect,
  VMMDevHGCMRequestHeader,
} from '../../../abi/hgcm.js';
import { VBOX_STATUS } from '../../../abi/vbox-err.js';
import { VMMDEV_EVENT, VMMDEV_REQUEST_TYPE, VMMDevRequestHeader } from '../../../abi/vmmdev.js';
import type { HgcmCall } from '../hgcm-service.js';
import type { DevicePlatform } from '../platform.js';
import type { Events } from './events.js';
import type { GuestReport } from './guest-report.js';
import { type Charge, clientClass, HeapBudget, heapClass } from './hgcm-callers.js';
import { type Client, Clients, type Command, mostCalls } from './hgcm-clients.js';
import { type GuestParameter, parameterRoom, readParameters } from './hgcm-parameters.js';
import type { GuestLog } from './log.js';
import type { Request } from './row.js';

const STATUS = VBOX_STATUS;
const LOCATION_NAME = VMMDevHGCMConnect.offset('loc') + 4;
const LOCATION_NAME_SIZE = 128;
const CLIENT_ID = VMMDevHGCMConnect.offset('u32ClientID');
const RESULT = VMMDevHGCMRequestHeader.offset('result');
const FLAGS = VMMDevHGCMRequestHeader.offset('fu32Flags');
const REQUEST_TYPE = VMMDevRequestHeader.offset('requestType');
const RC = VMMDevRequestHeader.offset('rc');

/** Writes a command's answer into its request. */
type Answer = (request: DataView) => void;

export interface HgcmParts {
  readonly platform: DevicePlatform;
  readonly events: Events;
  readonly log: GuestLog;
  readonly report: GuestReport;
}

export class Hgcm {
  readonly #parts: HgcmParts;
  readonly #clients: Clients;
  readonly #heap: HeapBudget;
  readonly #commands = new Set<Command>();
  /** The last command at each address. One that the guest wrote another over can't be cancelled any more. */
  readonly #byAddress = new Map<number, Command>();
  /** The guest's filter lets HGCM's event through since the first command. */
  #filterSet = false;

  constructor(parts: HgcmParts, heapBudget: number) {
    this.#parts = parts;
    this.#clients = new Clients(parts.platform.services);
    this.#heap = new HeapBudget(heapBudget);
  }

  /** Clients and commands there are. */
  get counts(): { clients: number; commands: number } {
    return { clients: this.#clients.size, commands: this.#commands.size };
  }

  /** HGCMConnect. The kind of location does not matter: the host takes only services that it has. */
  connect(request: Request): number {
    const charge = this.#heap.open(heapClass(request.requestor));
    if (charge === undefined) return STATUS.VERR_NO_MEMORY;
    const command = this.#begin(request, charge);
    const field = request.bytes.subarray(LOCATION_NAME, LOCATION_NAME + LOCATION_NAME_SIZE);
    const end = field.indexOf(0);
    if (end < 0) return this.#fail(command, STATUS.VERR_INVALID_PARAMETER);
    const isTold = this.#parts.report.additions?.hasRequestor ?? false;
    const owner = clientClass(request.requestor, isTold);
    const client = this.#clients.connect(new TextDecoder().decode(field.subarray(0, end)), owner);
    if (typeof client === 'number') this.#end(command, client);
    else this.#end(command, STATUS.VINF_SUCCESS, (to) => to.setUint32(CLIENT_ID, client.id, true));
    return STATUS.VINF_HGCM_ASYNC_EXECUTE;
  }

  /** HGCMDisconnect. What the service leaves of the client's calls ends as cancelled. */
  disconnect(request: Request): number {
    const id = request.view.getUint32(VMMDevHGCMDisconnect.offset('u32ClientID'), true);
    const charge = this.#heap.open(heapClass(request.requestor));
    if (charge === undefined) return STATUS.VERR_NO_MEMORY;
    const command = this.#begin(request, charge);
    if (id === 0) return this.#fail(command, STATUS.VERR_INVALID_PARAMETER);
    const client = this.#clients.find(id);
    if (client === undefined) this.#end(command, STATUS.VERR_HGCM_INVALID_CLIENT_ID);
    else {
      this.#clients.disconnect(client);
      for (const left of client.calls) this.#end(left, STATUS.VERR_CANCELLED);
      this.#end(command, STATUS.VINF_SUCCESS);
    }
    return STATUS.VINF_HGCM_ASYNC_EXECUTE;
  }

  /** HGCMCall32 and HGCMCall64. */
  call(request: Request): number {
    const { view } = request;
    const { u32ClientID: id, u32Function, cParms } = VMMDevHGCMCall.read(view, 0);
    const wide = request.type === VMMDEV_REQUEST_TYPE.VMMDevReq_HGCMCall64;
    const room = parameterRoom(view, wide);
    if (cParms > room) {
      this.#parts.log.few('parameters', 50, tooManyParameters(room, cParms));
      return STATUS.VERR_INVALID_PARAMETER;
    }
    const charge = this.#heap.open(heapClass(request.requestor));
    if (charge === undefined) return STATUS.VERR_NO_MEMORY;
    const { memory } = this.#parts.platform;
    const source = { request: view, wide, memory, charge: charge.add };
    const parameters = readParameters(cParms, source);
    if (typeof parameters === 'number') {
      charge.release();
      return parameters;
    }
    const command = this.#begin(request, charge);
    if (id === 0) return this.#fail(command, STATUS.VERR_INVALID_PARAMETER);
    const client = this.#clients.find(id);
    if (client === undefined) return this.#fail(command, STATUS.VERR_HGCM_INVALID_CLIENT_ID);
    if (client.calls.size >= mostCalls(client)) {
      return this.#fail(command, STATUS.VERR_HGCM_TOO_MANY_CLIENT_CALLS);
    }
    this.#run(command, client, u32Function, parameters);
    return STATUS.VINF_HGCM_ASYNC_EXECUTE;
  }

  /** HGCMCancel, which lies on the request that it cancels. */
  cancel(request: Request): number {
    const status = this.#cancel(request.address);
    return status === STATUS.VERR_NOT_FOUND ? STATUS.VERR_INVALID_PARAMETER : status;
  }

  /** HGCMCancel2. */
  cancel2(request: Request): number {
    return this.#cancel(request.view.getUint32(VMMDevHGCMCancel2.offset('physReqToCancel'), true));
  }

  /** The guest's memory is another's from now on: nothing is written there any more. */
  reset(): void {
    for (const command of this.#commands) this.#remove(command);
    this.#clients.reset();
    this.#filterSet = false;
  }

  #begin({ address, view, type }: Request, charge: Charge): Command {
    const command: Command = { address, size: view.byteLength, type, charge };
    this.#commands.add(command);
    this.#byAddress.set(address, command);
    if (!this.#filterSet) {
      this.#filterSet = true;
      this.#parts.events.changeFilter(VMMDEV_EVENT.VMMDEV_EVENT_HGCM, 0);
    }
    const rc = new DataView(new ArrayBuffer(4));
    rc.setInt32(0, STATUS.VINF_HGCM_ASYNC_EXECUTE, true);
    this.#parts.platform.memory.write(address + RC, new Uint8Array(rc.buffer));
    return command;
  }

  #run(command: Command, client: Client, number: number, parameters: GuestParameter[]): void {
    const call: HgcmCall = {
      client: client.id,
      function: number,
      parameters: parameters.map(({ host }) => host),
      complete: (status) =>
        this.#end(command, status, (to) => {
          for (const parameter of parameters) parameter.store(to);
        }),
    };
    client.calls.add(command);
    command.client = client;
    command.call = call;
    client.service.call(call);
  }

  /** The command failed before a service had it: that is its status, and nothing comes later. */
  #fail(command: Command, status: number): number {
    this.#remove(command);
    return status;
  }

  #end(command: Command, status: number, answer?: Answer): void {
    if (!this.#remove(command)) return;
    const { memory } = this.#parts.platform;
    const { address, size } = command;
    // The VM's memory may have become smaller since.
    if (address + size > memory.size) return;
    const bytes = memory.read(address, size);
    const request = new DataView(bytes.buffer, bytes.byteOffset, size);
    request.setInt32(RESULT, this.#answer(command, request, answer) ?? status, true);
    request.setUint32(FLAGS, request.getUint32(FLAGS, true) | VBOX_HGCM_REQ_DONE, true);
    memory.write(address, bytes);
    this.#parts.events.raise(VMMDEV_EVENT.VMMDEV_EVENT_HGCM);
  }

  /** Writes the answer, unless the guest has made another request of it meanwhile: that is a result of its own. */
  #answer({ type }: Command, request: DataView, answer: Answer | undefined): number | undefined {
    const now = request.getUint32(REQUEST_TYPE, true);
    if (now === type) answer?.(request);
    if (now === type || now === VMMDEV_REQUEST_TYPE.VMMDevReq_HGCMCancel) return undefined;
    const text = `VMMDEV: Invalid HGCM command: request ${type} has become ${now}`;
    this.#parts.log.few('command', 50, text);
    return STATUS.VERR_INVALID_PARAMETER;
  }

  #cancel(address: number): number {
    if (address === 0 || address === 0xffffffff) return STATUS.VERR_INVALID_PARAMETER;
    const command = this.#byAddress.get(address);
    if (command === undefined) return STATUS.VERR_NOT_FOUND;
    this.#remove(command);
    if (command.client !== undefined && command.call !== undefined) {
      command.client.service.cancelled(command.call);
    }
    return STATUS.VINF_SUCCESS;
  }

  /** Whether it was there. */
  #remove(command: Command): boolean {
    if (!this.#commands.delete(command)) return false;
    if (this.#byAddress.get(command.address) === command) this.#byAddress.delete(command.address);
    command.charge.release();
    command.client?.calls.delete(command);
    return true;
  }
}

function tooManyParameters(room: number, count: number): string {
  return (
    'VMMDev: request packet with invalid number of HGCM parameters: ' +
    `${room} vs ${count}. Refusing operation.`
  );
}
