/** A kernel that says over VMCI what a test wants, and the laboratory in which it does. */
import { VMADDR_CID_HOST } from '../../src/core/abi/vm-sockets.js';
import { VMCI_FLAG_ANYCID_DG_HND } from '../../src/core/abi/vmci-datagram.js';
import { VMCI_RESULT } from '../../src/core/abi/vmci-errors.js';
import type { QueueEnds } from '../../src/core/abi/vmci-queue.js';
import { packetTypeName, VMCI_TRANSPORT_PACKET_RID } from '../../src/core/abi/vmci-vsock.js';
import type { Datagram, Handle, KernelQueuePair } from '../../src/core/simulator/vmci/parts.js';
import type { GuestVmci } from '../../src/core/simulator/vmci/vmci.js';
import {
  type Control,
  decodeControl,
  encodeControl,
  type Words,
} from '../../src/core/simulator/vsock/vmci-control.js';
import { Lab, type LabOptions, PORT } from './vsock.js';

/** A laboratory whose guests have VMCI. */
export function vmciLab(options: LabOptions = {}): Lab {
  return new Lab({ ...options, transport: 'vmci' });
}

/** The port at which the kernel of a test is. */
export const PEER_PORT = 7777;
/** Its context, which is no guest's of the simulation. */
export const PEER_CID = 9;

/** A VM of somebody else: its kernel speaks VMCI, and its pages go with it. */
export class Peer {
  readonly lab: Lab;
  readonly vmci: GuestVmci;
  readonly heard: Control[] = [];

  constructor(lab: Lab, cid = PEER_CID) {
    this.lab = lab;
    this.vmci = lab.vmci.addGuest();
    this.vmci.setCid(cid);
    const flags = VMCI_FLAG_ANYCID_DG_HND;
    const receive = (datagram: Datagram) => this.#hear(datagram);
    const handle = this.vmci.driver.createDatagramHandle(
      VMCI_TRANSPORT_PACKET_RID,
      flags,
      0,
      receive,
    );
    if (typeof handle === 'number') throw new Error(`there is no endpoint: ${handle}`);
  }

  /** Says something to a port of the host. @returns a result of VMCI. */
  say(type: number, words: Words = {}, port = PORT, from = PEER_PORT): number {
    const to = { cid: VMADDR_CID_HOST, port };
    const datagram = encodeControl(type, { cid: PEER_CID, port: from }, to, words);
    const result = this.vmci.driver.sendDatagram(datagram);
    this.lab.settle();
    return result;
  }

  /** Names of what it has heard since the last call, in order. */
  log(): string[] {
    this.lab.settle();
    return this.heard.splice(0).map(({ type }) => packetTypeName(type));
  }

  /** The last that it has heard. */
  last(): Control {
    this.lab.settle();
    const last = this.heard.at(-1);
    if (last === undefined) throw new Error('nothing was heard');
    return last;
  }

  /** An end of a queue pair; a handle that is given is attached to. */
  pair(size: number, handle?: Handle): { pair: KernelQueuePair; queues: QueueEnds } {
    const pair = this.vmci.driver.allocQueuePair({
      handle,
      peer: VMADDR_CID_HOST,
      flags: handle === undefined ? 0 : 1,
      privileges: 0,
      produceSize: size,
      consumeSize: size,
    });
    if (typeof pair === 'number') throw new Error(`there is no queue pair: ${pair}`);
    const { queues } = pair;
    if (queues === undefined) throw new Error('the queue pair has no pages');
    return { pair, queues };
  }

  #hear(datagram: Datagram): number {
    const control = decodeControl(datagram);
    if (control !== undefined) this.heard.push(control);
    return VMCI_RESULT.VMCI_SUCCESS;
  }
}
