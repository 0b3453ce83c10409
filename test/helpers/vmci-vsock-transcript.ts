/**
 * A dialogue of a program on /dev/vmci with the socket layer of its own kernel, step by step, as lines of text. The lines
 * were first written by such a program on Linux 6.1; whoever has a kernel, or something like one, can be asked the same.
 */
import { VMADDR_CID_HOST } from '../../src/core/abi/vm-sockets.js';
import { VMCI_INVALID_ID, type VmciHandleValue } from '../../src/core/abi/vmci.js';
import { VMCI_DG_HEADERSIZE, type VmciDatagramValue } from '../../src/core/abi/vmci-datagram.js';
import {
  markQueuePair,
  openQueuePair,
  type QueueEnds,
  type QueueMemory,
  queuePairBytes,
  vmci_queue_header,
} from '../../src/core/abi/vmci-queue.js';
import { VMCI_QPFLAG_ATTACH_ONLY } from '../../src/core/abi/vmci-queue-pair.js';
import {
  packetTypeName,
  VMCI_TRANSPORT_PACKET_TYPE_ATTACH,
  VMCI_TRANSPORT_PACKET_TYPE_NEGOTIATE2,
  VMCI_TRANSPORT_PACKET_TYPE_OFFER,
  VMCI_TRANSPORT_PACKET_TYPE_REQUEST,
  VMCI_TRANSPORT_PACKET_TYPE_REQUEST2,
  VMCI_TRANSPORT_PACKET_TYPE_RST,
  VMCI_TRANSPORT_PACKET_TYPE_WAITING_READ,
  VMCI_TRANSPORT_PACKET_TYPE_WAITING_WRITE,
  VMCI_TRANSPORT_PACKET_TYPE_WROTE,
  vmci_transport_packet,
} from '../../src/core/abi/vmci-vsock.js';

/** The program's context, which the lines of the transcript have. */
export const PROGRAM_CID = 0x21;

/** What an ioctl returned, and its result of VMCI. */
export interface Outcome {
  returned: number;
  result: number;
}

/** A program with a context on /dev/vmci. */
export interface Program {
  send(datagram: VmciDatagramValue): Promise<number>;
  /** The next datagram; undefined when none comes. */
  receive(): Promise<VmciDatagramValue | undefined>;
  /** Pages for queue pairs, zeros. */
  memory(bytes: number): Promise<QueueMemory>;
  alloc(request: {
    handle: VmciHandleValue;
    peer: number;
    flags: number;
    produceSize: number;
    consumeSize: number;
    memory: QueueMemory;
  }): Promise<Outcome>;
  /** Tells where a pair's pages are; undefined takes them away. */
  setPages(handle: VmciHandleValue, memory: QueueMemory | undefined): Promise<Outcome>;
  detach(handle: VmciHandleValue): Promise<Outcome>;
  /** Closes the node. */
  close(): Promise<void>;
}

/** What a system call gave: a number from 0, or -1 and an error. */
export interface CallResult {
  value: number;
  /** The number of the system's error, 0 when there is none. */
  errno: number;
}

/** A socket of the kernel, whose calls do not wait (MSG_DONTWAIT). */
export interface KernelSocket {
  bind(address: { cid: number; port: number }): Promise<CallResult>;
  listen(backlog: number): Promise<CallResult>;
  accept(): Promise<{ socket: KernelSocket; peer: { cid: number; port: number } }>;
  connect(address: { cid: number; port: number }): Promise<CallResult>;
  /** SO_VM_SOCKETS_BUFFER_SIZE, with the minimum where that has to be lower. */
  setBufferSize(bytes: number): Promise<void>;
  send(data: Uint8Array): Promise<CallResult>;
  sendTo(address: { cid: number; port: number }, data: Uint8Array): Promise<CallResult>;
  recv(max: number): Promise<CallResult & { data: Uint8Array }>;
  recvFrom(): Promise<{ data: Uint8Array; from: { cid: number; port: number } }>;
  /** shutdown(SHUT_WR). */
  endWriting(): Promise<CallResult>;
  /** What poll(2) says of what it is asked for, without waiting. */
  poll(events: number): Promise<number>;
  /** SO_ERROR, as a number. */
  error(): Promise<number>;
  close(): Promise<void>;
}

/** Who is asked. */
export interface Stage {
  /** Opens /dev/vmci, says version 11.0, and makes a context with the program's CID. */
  program(): Promise<Program>;
  socket(type: 'stream' | 'dgram'): Promise<KernelSocket>;
}

const ANY = VMCI_INVALID_ID;
const HOST = VMADDR_CID_HOST;
const POLLIN = 1;
const POLLOUT = 4;

interface Said {
  type: number;
  srcPort: number;
  dstPort: number;
  proto?: number;
  size?: bigint;
  handle?: VmciHandleValue;
}

/** A control packet of the program's. */
function control(said: Said): VmciDatagramValue {
  const u = new Uint8Array(16);
  const view = new DataView(u.buffer);
  if (said.handle === undefined) view.setBigUint64(0, said.size ?? 0n, true);
  else {
    view.setUint32(0, said.handle.context, true);
    view.setUint32(4, said.handle.resource, true);
  }
  const whole = vmci_transport_packet.encode({
    version: 1,
    type: said.type,
    proto: said.proto ?? 0,
    src_port: said.srcPort,
    dst_port: said.dstPort,
    u,
  });
  return {
    dst: { context: HOST, resource: 1 },
    src: { context: PROGRAM_CID, resource: 1 },
    payload: whole.subarray(VMCI_DG_HEADERSIZE),
  };
}

function hex(value: number | bigint): string {
  return value.toString(16);
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** The bytes that are sent from a place of the stream on. */
function pattern(length: number, from = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, n) => ((from + n) * 7 + ((from + n) >> 8)) & 0xff);
}

function same(a: Uint8Array, b: Uint8Array): number {
  return Buffer.from(a).equals(Buffer.from(b)) ? 1 : 0;
}

/** The lines of a run. */
export class Transcript {
  readonly lines: string[] = [];
  readonly #stage: Stage;
  #program: Program | undefined;

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  get #guest(): Program {
    if (this.#program === undefined) throw new Error('there is no program yet');
    return this.#program;
  }

  async begin(): Promise<void> {
    this.#program = await this.#stage.program();
  }

  async end(): Promise<void> {
    await this.#guest.close();
  }

  /** Each line of test/fixtures/vmci/vsock.txt. */
  async servers(): Promise<void> {
    await this.#server('size 128 (REQUEST2)', { size: 128, ports: [700, 1934] });
    await this.#server('size 65536 (REQUEST2)', { size: 65536, ports: [701, 1935] });
    await this.#server('size 64 (below min)', { size: 64, ports: [702, 1936] });
    await this.#server('old REQUEST size 4096', {
      size: 4096,
      ports: [703, 1937],
      type: VMCI_TRANSPORT_PACKET_TYPE_REQUEST,
    });
    await this.#noListener();
    await this.#client();
    await this.#datagrams();
  }

  /** Each line of test/fixtures/vmci/vsock-ext.txt. Ends the program. */
  async extensions(): Promise<void> {
    await this.#newNotifications();
    await this.#oldNotifications();
    await this.#death();
  }

  #say(line: string): void {
    this.lines.push(line);
  }

  async #send(said: Said): Promise<number> {
    return this.#guest.send(control(said));
  }

  /** Everything that waits for the program. */
  async #drain(label: string): Promise<Decoded[]> {
    const all: Decoded[] = [];
    for (;;) {
      const datagram = await this.#guest.receive();
      if (datagram === undefined) return all;
      const decoded = decode(datagram);
      this.#say(`  [${label}] ${decoded.line}`);
      all.push(decoded);
    }
  }

  /** Makes a connection to a kernel's listener. */
  async #open(options: ServerOptions, labels: [string, string], sayRequest: boolean) {
    const { size, ports, type = VMCI_TRANSPORT_PACKET_TYPE_REQUEST2 } = options;
    const [port, own] = ports;
    const listener = await this.#stage.socket('stream');
    const bound = await listener.bind({ cid: ANY, port });
    const listening = await listener.listen(8);
    if (sayRequest) this.#say(`vsock listen ${bound.value} ${listening.value}`);
    const addresses = { srcPort: own, dstPort: port };
    const proto = type === VMCI_TRANSPORT_PACKET_TYPE_REQUEST2 ? 1 : 0;
    const asked = await this.#send({ type, ...addresses, proto, size: BigInt(size) });
    if (sayRequest) this.#say(`send ${packetTypeName(type)} size ${size} -> ${asked}`);
    const [answer] = await this.#drain(labels[0]);
    const agreed = Number(answer?.union ?? 0);
    const handle = {
      context: PROGRAM_CID,
      resource: own === port + 9000 ? own - 2000 : port + 3000,
    };
    const sizes = { produceSize: agreed, consumeSize: agreed };
    const memory = await this.#guest.memory(queuePairBytes(sizes));
    markQueuePair(memory, sizes, handle);
    const alloc = { handle, peer: HOST, flags: 0, ...sizes, memory };
    const { returned, result } = await this.#guest.alloc(alloc);
    if (sayRequest) this.#say(`QP alloc size ${agreed} -> ${returned} result ${result}`);
    const offer = { type: VMCI_TRANSPORT_PACKET_TYPE_OFFER, ...addresses, handle };
    const offered = await this.#send(offer);
    if (sayRequest) this.#say(`send OFFER -> ${offered}`);
    await this.#drain(labels[1]);
    const { socket, peer } = await listener.accept();
    await listener.close();
    const queues = openQueuePair(memory, sizes);
    return { socket, peer, queues, memory, handle, size: agreed, addresses };
  }

  async #server(title: string, options: Omit<ServerOptions, 'resources'>): Promise<void> {
    this.#say(`--- server, ${title}`);
    const open = await this.#open({ ...options, resources: 3000 }, ['neg', 'off'], true);
    const { socket, peer, queues, memory, size, handle } = open;
    this.#say(`accept -> 1 errno 0 peer ${peer.cid}:${peer.port}`);
    await this.#fill(socket, queues, size);
    for (let n = 0, at = 0; n < 3; n++) at = await this.#toKernel(socket, queues, at);
    corrupt(memory, size);
    const broken = await socket.recv(100);
    this.#say(`tail==size corruption: kernel recv -> ${broken.value} errno ${broken.errno}`);
    this.#say(`kernel shutdown(WR) -> ${(await socket.endWriting()).value}`);
    await this.#drain('shut');
    await socket.close();
    await this.#drain('close');
    const { returned, result } = await this.#guest.detach(handle);
    this.#say(`detach -> ${returned} result ${result}`);
  }

  /** The kernel fills its queue; half of it is read, and filled again. */
  async #fill(socket: KernelSocket, { consume }: QueueEnds, size: number): Promise<void> {
    const { value } = await socket.send(pattern(2 * size));
    this.#say(`kernel send(2*size, DONTWAIT) -> ${value} (queue size ${size})`);
    const { tail, head } = indexes(consume);
    this.#say(`  consume hdr tail ${tail}, my head (produce hdr) ${head}`);
    const full = await socket.send(pattern(1));
    this.#say(`kernel send when full -> ${full.value} errno ${full.errno}`);
    await this.#drain('full');
    const seen = new Uint8Array(size - 1);
    consume.peek(seen);
    this.#say(`  data intact ${same(seen, pattern(size - 1))}`);
    const half = size / 2;
    consume.dequeue(new Uint8Array(half));
    const again = await socket.send(pattern(size));
    const now = indexes(consume);
    this.#say(
      `after consuming ${half}: kernel send -> ${again.value}, tail now ${now.tail} head ${now.head}`,
    );
    this.#say(`  ready=(tail-head) mod size = ${(now.tail - now.head + size) % size}`);
  }

  async #toKernel(socket: KernelSocket, { produce }: QueueEnds, at: number): Promise<number> {
    const data = pattern(100, at);
    produce.enqueue(data);
    const got = await socket.recv(100);
    const { head } = indexes(produce);
    this.#say(
      `us->kernel 100 bytes at tail ${at}: recv ${got.value} ok ${same(got.data, data)}, ` +
        `kernel head now ${head} (in consume hdr)`,
    );
    return indexes(produce).tail;
  }

  async #noListener(): Promise<void> {
    this.#say('--- no listener');
    const REQUEST2 = VMCI_TRANSPORT_PACKET_TYPE_REQUEST2;
    const WROTE = VMCI_TRANSPORT_PACKET_TYPE_WROTE;
    const unknown = 99;
    const ask = async (said: string, label: string, packet: Said) => {
      this.#say(`${said} -> ${await this.#send(packet)}`);
      await this.#drain(label);
    };
    const closed = { srcPort: 9, dstPort: 999 };
    const size = 4096n;
    await ask('REQUEST2 to closed port', 'nl', { type: REQUEST2, ...closed, proto: 1, size });
    await ask('unknown type to closed port', 'ut', { type: unknown, ...closed });
    const listener = await this.#stage.socket('stream');
    await listener.bind({ cid: ANY, port: 704 });
    await listener.listen(8);
    const open = { srcPort: 9, dstPort: 704 };
    await ask('unknown type to listener', 'ut2', { type: unknown, ...open });
    await ask('WROTE to listener', 'wl', { type: WROTE, ...open });
    const [ten, eleven] = [
      { ...open, srcPort: 10 },
      { ...open, srcPort: 11 },
    ];
    await ask('REQUEST2 size 0', 'z', { type: REQUEST2, ...ten, proto: 1, size: 0n });
    await ask('REQUEST2 proto 2 only', 'pr', { type: REQUEST2, ...eleven, proto: 2, size });
    const whole = control({ type: REQUEST2, ...open, proto: 1, size });
    const short = { ...whole, payload: whole.payload.subarray(0, 8) };
    this.#say(`short control packet -> result ${await this.#guest.send(short)}`);
    const stranger = { ...whole, src: { context: PROGRAM_CID, resource: 77 } };
    this.#say(`wrong src rid -> result ${await this.#guest.send(stranger)}`);
    await listener.close();
  }

  async #client(): Promise<void> {
    this.#say('--- kernel client');
    const socket = await this.#stage.socket('stream');
    await socket.setBufferSize(4096);
    const begun = await socket.connect({ cid: PROGRAM_CID, port: 5555 });
    this.#say(`kernel connect(${PROGRAM_CID}:5555) -> ${begun.value} errno ${begun.errno}`);
    const [request] = await this.#drain('c1');
    this.#say(`  REQUEST2 u.size ${request?.union} proto ${request?.proto}`);
    const addresses = { srcPort: 5555, dstPort: request?.srcPort ?? 0 };
    const negotiate = { type: VMCI_TRANSPORT_PACKET_TYPE_NEGOTIATE2, ...addresses };
    const size = request?.union ?? 0n;
    this.#say(`send NEGOTIATE2 -> ${await this.#send({ ...negotiate, proto: 1, size })}`);
    const [offer] = await this.#drain('c2');
    const handle = offer?.handle ?? { context: 0, resource: 0 };
    this.#say(`  OFFER handle ${hex(handle.context)}:${hex(handle.resource)}`);
    const bytes = Number(size);
    const wrong = await this.#attach(handle, 2 * bytes);
    this.#say(`attach wrong size -> ${wrong.returned} result ${wrong.result}`);
    const { returned, result, queues } = await this.#attach(handle, bytes);
    this.#say(`attach -> ${returned} result ${result}`);
    const attach = { type: VMCI_TRANSPORT_PACKET_TYPE_ATTACH, ...addresses, handle };
    this.#say(`send ATTACH -> ${await this.#send(attach)}`);
    await this.#drain('c3');
    this.#say(
      `connect so_error ${await socket.error()} revents ${await socket.poll(POLLIN | POLLOUT)}`,
    );
    const sent = await socket.send(new TextEncoder().encode('hello'));
    const heard = new Uint8Array(5);
    queues.consume.peek(heard);
    const { tail } = indexes(queues.consume);
    this.#say(`kernel send -> ${sent.value}; our consume data '${text(heard)}' tail ${tail}`);
    await this.#drain('c4');
    const left = await this.#guest.detach(handle);
    this.#say(`we detach first -> ${left.returned} result ${left.result}`);
    const { value, errno } = await socket.recv(100);
    this.#say(`kernel recv after our detach -> ${value} errno ${errno}`);
    await socket.close();
  }

  async #attach(handle: VmciHandleValue, size: number): Promise<Outcome & { queues: QueueEnds }> {
    const sizes = { produceSize: size, consumeSize: size };
    const memory = await this.#guest.memory(queuePairBytes(sizes));
    markQueuePair(memory, sizes, handle);
    const flags = VMCI_QPFLAG_ATTACH_ONLY;
    const outcome = await this.#guest.alloc({ handle, peer: HOST, flags, ...sizes, memory });
    return { ...outcome, queues: openQueuePair(memory, sizes) };
  }

  async #datagrams(): Promise<void> {
    const socket = await this.#stage.socket('dgram');
    const { value, errno } = await socket.bind({ cid: ANY, port: 2222 });
    this.#say(`dgram bind -> ${value} errno ${errno}`);
    const src = { context: PROGRAM_CID, resource: 4444 };
    const dst = { context: HOST, resource: 2222 };
    const ping = { dst, src, payload: new TextEncoder().encode('ping') };
    this.#say(`dgram to host port 2222 -> result ${await this.#guest.send(ping)}`);
    const { data, from } = await socket.recvFrom();
    this.#say(`kernel recvfrom -> ${data.length} '${text(data)}' from ${from.cid}:${from.port}`);
    const guest = { cid: PROGRAM_CID, port: 4444 };
    const sent = await socket.sendTo(guest, new TextEncoder().encode('pong!'));
    this.#say(`kernel sendto guest -> ${sent.value} errno ${sent.errno}`);
    const got = await this.#guest.receive();
    this.#say(`guest recv -> ${got === undefined ? -1 : 0}`);
    if (got !== undefined) this.#say(rawLine(got));
    const large = await socket.sendTo(guest, new Uint8Array(69609));
    this.#say(`sendto 69609 -> ${large.value} errno ${large.errno}`);
    const strange = await socket.sendTo({ cid: 0, port: 1 }, new Uint8Array(1));
    this.#say(`sendto hypervisor port 1 -> ${strange.value} errno ${strange.errno}`);
    await socket.close();
  }

  async #quietly(title: string, ports: [number, number], size: number, type?: number) {
    this.#say(`--- ${title}`);
    const options = { size, ports, resources: 7000, ...(type === undefined ? {} : { type }) };
    return this.#open(options, ['o1', 'o2'], false);
  }

  async #newNotifications(): Promise<void> {
    const open = await this.#quietly(
      'ext A: READ in q_state protocol, size 1000',
      [800, 9800],
      1000,
    );
    const { socket, queues, handle, memory, addresses } = open;
    this.#say(`open 1 size ${open.size}`);
    queues.produce.enqueue(pattern(999));
    this.#say(`kernel recv 10 from full queue -> ${(await socket.recv(10)).value}`);
    await this.#drain('A2');
    this.#say(`kernel recv 10 more -> ${(await socket.recv(10)).value}`);
    await this.#drain('A3');
    this.#say(`peek -> ${queues.produce.bufReady} head ${indexes(queues.produce).head}`);
    const rest = await socket.recv(2000);
    this.#say(`recv rest -> ${rest.value} head ${indexes(queues.produce).head}`);
    const empty = await socket.recv(10);
    this.#say(`recv empty -> ${empty.value} errno ${empty.errno}`);
    const away = await this.#guest.setPages(handle, undefined);
    this.#say(`unmap while connected -> ${away.returned} result ${away.result}`);
    this.#say(`poll while unmapped revents ${await socket.poll(POLLIN | POLLOUT)}`);
    this.#say('(skipped blocking data ops while unmapped)');
    const back = await this.#guest.setPages(handle, memory);
    this.#say(`map again -> ${back.returned} result ${back.result}`);
    const reset = await this.#send({ type: VMCI_TRANSPORT_PACKET_TYPE_RST, ...addresses });
    this.#say(`we send RST -> ${reset}`);
    const after = await socket.recv(10);
    this.#say(`kernel recv after RST -> ${after.value} errno ${after.errno}`);
    const send = await socket.send(pattern(1));
    this.#say(`kernel send after RST -> ${send.value} errno ${send.errno}`);
    await socket.close();
    await this.#drain('A5');
    this.#say(`detach ${(await this.#guest.detach(handle)).result}`);
  }

  async #oldNotifications(): Promise<void> {
    const open = await this.#quietly(
      'ext B: old protocol WAITING_READ/WAITING_WRITE, size 4096',
      [801, 9801],
      4096,
      VMCI_TRANSPORT_PACKET_TYPE_REQUEST,
    );
    const { socket, queues, handle, addresses } = open;
    this.#say('open 1');
    const tell = async (name: string, type: number) => {
      this.#say(`send ${name} -> ${await this.#send({ type, ...addresses })}`);
    };
    this.#say(`kernel send 3 -> ${(await socket.send(pattern(3))).value}`);
    await this.#drain('B1');
    queues.consume.dequeue(new Uint8Array(3));
    await tell('WAITING_READ', VMCI_TRANSPORT_PACKET_TYPE_WAITING_READ);
    await this.#drain('B2');
    this.#say(`kernel send 3 -> ${(await socket.send(pattern(3))).value}`);
    await this.#drain('B3');
    queues.produce.enqueue(pattern(4095));
    await tell('WAITING_WRITE', VMCI_TRANSPORT_PACKET_TYPE_WAITING_WRITE);
    await this.#drain('B4');
    this.#say(`kernel recv 100 -> ${(await socket.recv(100)).value}`);
    await this.#drain('B5');
    await socket.recv(4000);
    this.#say(`drained, errno ${(await socket.recv(10)).errno}`);
    await this.#drain('B6');
    this.#say(`poll on empty -> revents ${await socket.poll(POLLIN)}`);
    await this.#drain('B7');
    await socket.close();
    await this.#drain('B8');
    this.#say(`detach ${(await this.#guest.detach(handle)).result}`);
  }

  async #death(): Promise<void> {
    const open = await this.#quietly(
      'ext D: VMX dies (close fd) while connected',
      [802, 9802],
      4096,
    );
    this.#say('open 1');
    await this.#guest.close();
    const { value, errno } = await open.socket.recv(10);
    this.#say(`kernel recv after VMX close -> ${value} errno ${errno}`);
    const send = await open.socket.send(pattern(1));
    this.#say(`kernel send after VMX close -> ${send.value} errno ${send.errno}`);
    await open.socket.close();
  }
}

interface ServerOptions {
  size: number;
  /** What is added to the kernel's port to make a queue pair's resource. */
  resources: number;
  /** The kernel's, and the program's. */
  ports: [number, number];
  type?: number;
}

/** A control packet or event, and the line that tells it. */
interface Decoded {
  line: string;
  srcPort: number;
  proto: number;
  /** The first 8 bytes of what follows the ports. */
  union: bigint;
  handle: VmciHandleValue;
}

function decode({ src, payload }: VmciDatagramValue): Decoded {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  if (src.context === 0) {
    const handle = `${hex(view.getUint32(8, true))}:${hex(view.getUint32(12, true))}`;
    const line = `EVENT ${view.getUint32(0, true)} handle ${handle} peer ${view.getUint32(16, true)}`;
    const nothing = { srcPort: 0, proto: 0, union: 0n, handle: { context: 0, resource: 0 } };
    return { line: `${line} (psz ${payload.length})`, ...nothing };
  }
  const whole = new Uint8Array(vmci_transport_packet.size);
  whole.set(payload.subarray(0, whole.length - VMCI_DG_HEADERSIZE), VMCI_DG_HEADERSIZE);
  const packet = vmci_transport_packet.decode(whole);
  const union = view.getBigUint64(16, true);
  const line =
    `pkt ${packetTypeName(packet.type)} from ${src.context}:${src.resource} ver ${packet.version} ` +
    `proto ${packet.proto} ports ${packet.src_port}->${packet.dst_port} u=${hex(union)} (psz ${payload.length})`;
  const handle = { context: view.getUint32(16, true), resource: view.getUint32(20, true) };
  return { line, srcPort: packet.src_port, proto: packet.proto, union, handle };
}

function rawLine({ dst, src, payload }: VmciDatagramValue): string {
  const handle = (one: VmciHandleValue) => `${hex(one.context)}:${hex(one.resource)}`;
  const bytes = Buffer.from(payload).toString('hex');
  return `DGRAM dst=${handle(dst)} src=${handle(src)} psz=${payload.length} bytes=${bytes}`;
}

function indexes(queue: QueueEnds['produce']): { tail: number; head: number } {
  const found = queue.indexes();
  return typeof found === 'number' ? { tail: found, head: found } : found;
}

/** Puts an index into the program's own header that no queue of the size has. */
function corrupt(memory: QueueMemory, size: number): void {
  const tail = memory.view(vmci_queue_header.offset('producer_tail'), 8);
  new DataView(tail.buffer, tail.byteOffset, 8).setBigUint64(0, BigInt(size), true);
}

/** The lines without what a kernel chooses by chance. */
export function withoutChance(lines: readonly string[]): string[] {
  return lines.map((line) => line.replace(/ports \d{6,}->/, 'ports AUTO->'));
}
