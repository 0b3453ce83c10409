/** Front-ends that set a device up in the order in which user-mode Linux and QEMU do it, and a device that echoes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { fromBytes, u64 } from '../../src/core/abi/layout.js';
import * as v from '../../src/core/abi/vhost-user.js';
import { copyIn, copyOut, sizeOf } from '../../src/core/export/vhost-user/byte-parts.js';
import type {
  Chain,
  DeviceHost,
  DeviceQueue,
  VirtioDevice,
} from '../../src/core/export/vhost-user/device.js';
import { type Offer, offerDevice } from '../../src/core/export/vhost-user/server.js';
import { VirtualClock } from '../../src/core/simulator/clock.js';
import { connectedPair } from './unix.js';
import { type DriverOptions, DriverQueue } from './vhost-driver.js';
import { Frontend, GUEST_BASE, MessageReader, TestMemory, USER_BASE } from './vhost-frontend.js';

export const QUEUES = 3;
/** Bytes of memory that each queue of a front-end has. */
export const QUEUE_MEMORY = 256 * 1024;

const [VERSION_1, EVENT_IDX, INDIRECT, PROTOCOL] = [1n << 32n, 1n << 29n, 1n << 28n, 1n << 30n];
/** In-band notifications, and what they need. */
const UML_PROTOCOL = 0x4228n;
/** With a log of written pages. */
const QEMU_PROTOCOL = 0x20an;

/** Gives back what it reads, as far as there is room; writes down what it is told. */
export class EchoDevice implements VirtioDevice {
  readonly id = 19;
  readonly features = 0b10n;
  readonly queueCount = QUEUES;
  readonly events: string[] = [];
  readonly queues = new Map<number, DeviceQueue>();
  readonly space = Uint8Array.from([3, 0, 0, 0, 0, 0, 0, 0]);
  host: DeviceHost | undefined;
  /** What to do with a chain instead. */
  take: ((queue: DeviceQueue, chain: Chain) => void) | undefined;

  config(): Uint8Array {
    return this.space;
  }

  writeConfig(offset: number, bytes: Uint8Array): void {
    this.space.set(bytes, offset);
  }

  attached(host: DeviceHost, features: bigint): void {
    this.host = host;
    this.events.push(`attached 0x${features.toString(16)}`);
  }

  started(index: number, queue: DeviceQueue): void {
    this.queues.set(index, queue);
    this.events.push(`started ${index}`);
  }

  stopped(index: number): void {
    this.queues.delete(index);
    this.events.push(`stopped ${index}`);
  }

  kicked(index: number): void {
    const queue = this.queues.get(index);
    if (queue === undefined) throw new Error(`ring ${index} was kicked and does not run`);
    for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
      if (this.take === undefined) queue.push(chain, echo(chain));
      else this.take(queue, chain);
    }
    queue.notify();
  }

  detached(reason: string): void {
    this.host = undefined;
    this.events.push(`detached: ${reason}`);
  }
}

/** Copies the readable bytes of a chain into its writable part. @returns how many there was room for. */
export function echo({ readable, writable }: Chain): number {
  const bytes = copyOut(readable, 0, sizeOf(writable));
  copyIn(writable, 0, bytes);
  return bytes.length;
}

export interface Offered {
  offer: Offer;
  device: EchoDevice;
  path: string;
  log: string[];
  clock: VirtualClock;
}

/** An echo device on a socket of its own. */
export async function offerEcho(t: Test): Promise<Offered> {
  const directory = mkdtempSync(join(tmpdir(), 'vmmctl-vhost-'));
  const [device, clock, path] = [new EchoDevice(), new VirtualClock(), join(directory, 'socket')];
  const log: string[] = [];
  const offer = await offerDevice({ path, device, clock, log: (text) => log.push(text) });
  t.teardown(() => {
    offer.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return { offer, device, path, log, clock };
}

/** A front-end that has set all up, and how it drives a ring. */
export interface Guest {
  frontend: Frontend;
  memory: TestMemory;
  queues: DriverQueue[];
  kick(index: number): Promise<void>;
  /** Sets a ring up anew that was stopped, where it is now. */
  startAgain(index: number): Promise<void>;
  /** Interrupts of a ring since the last look. */
  interrupts(index: number): number;
  /** Messages of the back-end's own channel, but interrupts. */
  messages(): number[];
}

export interface GuestOptions extends DriverOptions {
  indirect?: boolean;
}

function guestMemory(t: Test, frontend: Frontend, options: GuestOptions, flags?: number) {
  const memory = new TestMemory(frontend.system, QUEUES * QUEUE_MEMORY, flags);
  t.teardown(() => memory.close());
  const queues = Array.from({ length: QUEUES }, (_, index) => {
    return new DriverQueue(memory, index * QUEUE_MEMORY, (index + 1) * QUEUE_MEMORY, options);
  });
  return { memory, queues };
}

export function guestFeatures({ eventIdx, indirect }: GuestOptions): bigint {
  return 0b10n | VERSION_1 | PROTOCOL | (eventIdx ? EVENT_IDX : 0n) | (indirect ? INDIRECT : 0n);
}

/** @param log the used ring's guest address, where writes to it are to be marked. */
export function ringAddress(queue: DriverQueue, index: number, log?: number): Uint8Array {
  return v.vhost_user_vring_addr.encode({
    index,
    flags: log === undefined ? 0 : 1 << v.VHOST_VRING_F_LOG,
    desc: BigInt(queue.user + queue.desc),
    avail: BigInt(queue.user + queue.avail),
    used: BigInt(queue.user + queue.used),
    log: log === undefined ? 2n ** 64n - 1n : BigInt(log),
  });
}

/** Tells where a ring is, and where in it the driver stands. */
async function placeRing(frontend: Frontend, queue: DriverQueue, index: number): Promise<void> {
  await frontend.state(v.VHOST_USER_SET_VRING_NUM, index, queue.num);
  await frontend.state(v.VHOST_USER_SET_VRING_BASE, index, queue.availIdx);
  await frontend.tell(v.VHOST_USER_SET_VRING_ADDR, ringAddress(queue, index));
}

export function queueAt(queues: readonly DriverQueue[], index: number): DriverQueue {
  const queue = queues[index];
  if (queue === undefined) throw new Error(`no queue ${index}`);
  return queue;
}

/** Rings in band: the order is that of arch/um/drivers/virtio_uml.c. */
export async function umlGuest(t: Test, path: string, options: GuestOptions = {}): Promise<Guest> {
  const frontend = await Frontend.connect(t, path);
  const { libc } = frontend.system;
  const same = { ...options, guest: GUEST_BASE, user: GUEST_BASE };
  // User-mode Linux' file can't be sealed.
  const { memory, queues } = guestMemory(t, frontend, same, 0);
  await frontend.tell(v.VHOST_USER_SET_OWNER);
  await frontend.ask(v.VHOST_USER_GET_FEATURES);
  await frontend.ask(v.VHOST_USER_GET_PROTOCOL_FEATURES);
  frontend.needReply = true;
  await frontend.word(v.VHOST_USER_SET_PROTOCOL_FEATURES, UML_PROTOCOL);
  const [ours, theirs] = connectedPair(t, libc);
  frontend.own(ours);
  await frontend.tell(v.VHOST_USER_SET_BACKEND_REQ_FD, undefined, [theirs]);
  libc.close(theirs);
  await frontend.word(v.VHOST_USER_SET_FEATURES, guestFeatures(options));
  await frontend.setMemory(memory, GUEST_BASE, GUEST_BASE);
  for (const [index, queue] of queues.entries()) await placeRing(frontend, queue, index);
  for (const index of queues.keys()) await frontend.state(v.VHOST_USER_SET_VRING_ENABLE, index, 1);

  const channel = new MessageReader(frontend.system, ours);
  const calls = new Map<number, number>();
  const others: number[] = [];
  const drain = () => {
    for (let each = channel.take(); each !== undefined; each = channel.take()) {
      if (each.request !== v.VHOST_USER_BACKEND_VRING_CALL) {
        others.push(each.request);
        continue;
      }
      const { index } = v.vhost_user_vring_state.decode(each.payload);
      calls.set(index, (calls.get(index) ?? 0) + 1);
    }
  };
  return {
    frontend,
    memory,
    queues,
    kick: (index) => frontend.state(v.VHOST_USER_VRING_KICK, index, 0),
    startAgain: (index) => placeRing(frontend, queueAt(queues, index), index),
    interrupts(index) {
      drain();
      const count = calls.get(index) ?? 0;
      calls.delete(index);
      return count;
    },
    messages() {
      drain();
      return others.splice(0);
    },
  };
}

/** Rings with eventfds: the order is that of QEMU 7.2, but that all rings are the back-end's. */
export async function qemuGuest(t: Test, path: string, options: GuestOptions = {}): Promise<Guest> {
  const frontend = await Frontend.connect(t, path);
  const { memory, queues } = guestMemory(t, frontend, {
    ...options,
    guest: GUEST_BASE,
    user: USER_BASE,
  });
  const events = queues.map(() => ({ call: frontend.eventfd(), kick: frontend.eventfd() }));
  await frontend.ask(v.VHOST_USER_GET_FEATURES);
  await frontend.ask(v.VHOST_USER_GET_PROTOCOL_FEATURES);
  await frontend.word(v.VHOST_USER_SET_PROTOCOL_FEATURES, QEMU_PROTOCOL);
  frontend.needReply = true;
  await frontend.tell(v.VHOST_USER_SET_OWNER);
  await frontend.ask(v.VHOST_USER_GET_FEATURES);
  for (const [index, { call }] of events.entries()) {
    await frontend.word(v.VHOST_USER_SET_VRING_CALL, BigInt(index), [call]);
    await frontend.word(v.VHOST_USER_SET_VRING_ERR, BigInt(index), [frontend.eventfd()]);
  }
  await frontend.word(v.VHOST_USER_SET_FEATURES, guestFeatures(options));
  await frontend.setMemory(memory);
  const start = async (queue: DriverQueue, index: number) => {
    await placeRing(frontend, queue, index);
    await frontend.word(v.VHOST_USER_SET_VRING_KICK, BigInt(index), [events[index]?.kick ?? -1]);
  };
  for (const [index, queue] of queues.entries()) await start(queue, index);
  for (const index of queues.keys()) await frontend.state(v.VHOST_USER_SET_VRING_ENABLE, index, 1);
  return {
    frontend,
    memory,
    queues,
    kick(index) {
      frontend.system.libc.write(
        events[index]?.kick ?? -1,
        new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]),
      );
      return Promise.resolve();
    },
    startAgain: (index) => start(queueAt(queues, index), index),
    interrupts: (index) => frontend.count(events[index]?.call ?? -1),
    messages: () => [],
  };
}

/** Stops a ring as a front-end does, and gives where it was. */
export async function stopRing({ frontend }: Guest, index: number): Promise<number> {
  const payload = v.vhost_user_vring_state.encode({ index });
  const answer = await frontend.ask(v.VHOST_USER_GET_VRING_BASE, payload);
  return v.vhost_user_vring_state.decode(answer).num;
}

export async function wordOf(answer: Promise<Uint8Array>): Promise<bigint> {
  return fromBytes(u64, await answer);
}
