/** What must hold for every packet of a run. */
import {
  decodeHeader,
  describePacket,
  type PacketHeader,
  VIRTIO_VSOCK_MAX_PKT_BUF_SIZE,
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RST,
  VIRTIO_VSOCK_OP_RW,
} from '../../src/core/abi/virtio-vsock.js';
import { VMADDR_CID_LOCAL } from '../../src/core/abi/vm-sockets.js';
import type { Channel } from '../../src/core/simulator/vsock/channel.js';
import type { VsockNetwork } from '../../src/core/simulator/vsock/network.js';
import type { Stack } from '../../src/core/simulator/vsock/stack.js';
import { VirtioLink } from '../../src/core/simulator/vsock/virtio-link.js';

/** One direction of a connection, as somebody between the machines sees it. */
interface Flow {
  /** Bytes of data that went by. */
  sent: number;
  /** What its sender has announced last, for the other direction. */
  bufAlloc: number;
  fwdCnt: number;
}

/** Packets that are kept for the report of a failure. */
const KEPT = 40;

export class PacketChecks {
  readonly #flows = new Map<string, Flow>();
  readonly recent: string[] = [];
  packets = 0;
  bytes = 0;

  constructor(network: VsockNetwork, nowMs: () => number) {
    network.switch.addTap((data) => {
      const header = decodeHeader(data);
      this.packets++;
      this.bytes += header.len;
      this.recent.push(`${nowMs()} ms  ${describePacket(header)}`);
      if (this.recent.length > KEPT) this.recent.shift();
      this.#check(header);
    });
  }

  #check(header: PacketHeader): void {
    if (header.len > VIRTIO_VSOCK_MAX_PKT_BUF_SIZE) fail('a packet is too long', header);
    if (header.len > 0 && header.op !== VIRTIO_VSOCK_OP_RW) fail('only RW has a payload', header);
    if (header.op === VIRTIO_VSOCK_OP_REQUEST) this.#begin(header);
    const flow = this.#flows.get(forward(header));
    const back = this.#flows.get(backward(header));
    if (flow === undefined || header.op === VIRTIO_VSOCK_OP_RST) return;
    flow.bufAlloc = header.bufAlloc;
    flow.fwdCnt = header.fwdCnt;
    if (header.op !== VIRTIO_VSOCK_OP_RW || back === undefined) return;
    flow.sent += header.len;
    if (flow.sent - back.fwdCnt > back.bufAlloc) fail('data beyond the credit', header);
    if (back.fwdCnt > flow.sent) fail('more was reported as read than was sent', header);
  }

  #begin(header: PacketHeader): void {
    for (const name of [forward(header), backward(header)]) {
      this.#flows.set(name, { sent: 0, bufAlloc: 0, fwdCnt: 0 });
    }
  }
}

/** Makes a machine complain when it answers a RST by RST, or when a socket holds more than its buffer. */
export function guardStack(stack: Stack): void {
  const receive = stack.receive.bind(stack);
  stack.receive = (header: PacketHeader, payload: Uint8Array, answers: Channel) => {
    const reply = answers.reply.bind(answers);
    answers.reply = (answer) => {
      const both = header.op === VIRTIO_VSOCK_OP_RST && answer.op === VIRTIO_VSOCK_OP_RST;
      if (both) fail('a RST was answered by RST', header);
      reply(answer);
    };
    receive(header, payload, answers);
    answers.reply = reply;
    checkBuffers(stack);
  };
}

function checkBuffers(stack: Stack): void {
  for (const { link, local, peer } of stack.sockets()) {
    if (!(link instanceof VirtioLink)) continue;
    const { credit } = link;
    const bad = credit.bufUsed > credit.bufAlloc || credit.rxBytes > credit.bufUsed;
    if (!bad && credit.rxBytes >= 0) continue;
    const where = `${peer?.cid}:${peer?.port} > ${local.cid}:${local.port}`;
    throw new Error(
      `${where} holds ${credit.rxBytes}, uses ${credit.bufUsed} of ${credit.bufAlloc}`,
    );
  }
}

function forward(header: PacketHeader): string {
  return `${header.srcCid}:${header.srcPort}>${destination(header)}:${header.dstPort}`;
}

function backward(header: PacketHeader): string {
  return `${destination(header)}:${header.dstPort}>${header.srcCid}:${header.srcPort}`;
}

/** On a loopback, whichever CID of the machine was dialled, the answers come from CID 1. */
function destination({ srcCid, dstCid }: PacketHeader): number {
  return srcCid === VMADDR_CID_LOCAL ? VMADDR_CID_LOCAL : dstCid;
}

function fail(what: string, header: PacketHeader): never {
  throw new Error(`${what}: ${describePacket(header)}`);
}
