/**
 * One front-end, from its connection to its end: what was agreed upon, its memory, its rings, and the device behind
 * them. The front-end, and the driver in its guest, are strangers: whatever is wrong ends the session with a reason.
 */
import {
  VHOST_USER_F_PROTOCOL_FEATURES,
  VHOST_USER_PROTOCOL_F_CONFIG,
  VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS,
} from '../../abi/vhost-user.js';
import { VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC } from '../../abi/virtio.js';
import { BackendChannel } from './channel.js';
import { Connection, type Message } from './connection.js';
import type { DeviceHost, VirtioDevice } from './device.js';
import { hasBit, TRANSPORT_FEATURES, Violation } from './features.js';
import { GuestMemory } from './memory.js';
import { openRing } from './open-ring.js';
import { SplitQueue } from './queue.js';
import { handleRequest } from './requests.js';
import { RingError } from './ring.js';
import type { System } from './system.js';
import { Vring } from './vring.js';
import { WriteLog } from './write-log.js';

/** Lines that one session writes into the log about requests that were refused. */
const MAX_REFUSALS_LOGGED = 8;

export interface SessionEvents {
  log(text: string): void;
  /** The session is over, and all that it held is free. */
  ended(reason: string, faulty: boolean): void;
  /** A request was refused. */
  refused(): void;
}

export class Session {
  readonly device: VirtioDevice;
  readonly memory: GuestMemory;
  readonly log: WriteLog;
  readonly vrings: readonly Vring[];
  readonly #system: System;
  readonly #events: SessionEvents;
  readonly #connection: Connection;
  /** Agreed upon by the front-end; the protocol's are zero until then. */
  features = 0n;
  protocolFeatures = 0n;
  #channel: BackendChannel | undefined;
  #attached = false;
  #refusals = 0;
  /** Why it is about to end. */
  #failure: string | undefined;
  #ended = false;
  /** Rings that are to be served in the next turn. */
  readonly #later = new Set<Vring>();

  /** Takes the connection's descriptor. */
  constructor(system: System, fd: number, device: VirtioDevice, events: SessionEvents) {
    this.#system = system;
    this.#events = events;
    this.device = device;
    this.memory = new GuestMemory(system, {
      log: events.log,
      lost: () => this.fail('its memory was made shorter'),
    });
    this.log = new WriteLog(system, this.memory);
    this.vrings = Array.from({ length: device.queueCount }, (_, index) => new Vring(system, index));
    this.#connection = new Connection(system, fd, {
      message: (message) => this.#message(message),
      ended: (reason, faulty) => this.#end(reason, faulty),
    });
  }

  get offered(): bigint {
    return this.device.features | TRANSPORT_FEATURES;
  }

  start(): void {
    const result = this.#connection.start();
    if (result < 0) this.#end(`can't be watched: errno ${-result}`, false);
  }

  /** Looks whether the front-end is still there. */
  poll(): void {
    this.#connection.poll();
  }

  has(protocolFeature: number): boolean {
    return hasBit(this.protocolFeatures, protocolFeature);
  }

  /** Takes the descriptor of the back-end's own channel. */
  setChannel(fd: number): void {
    this.#channel?.close();
    this.#channel = new BackendChannel(this.#system, fd, (errno) => {
      this.#events.log(`the channel of the back-end is gone: errno ${errno}`);
    });
  }

  /** The driver of this ring has said that there is something; the first kick starts it. */
  kicked(vring: Vring): void {
    if (this.#over) return;
    if (vring.started && vring.queue !== undefined) this.#serve(vring, vring.queue);
    else this.kickedInBand(vring);
  }

  /** The same by a message, whose answer comes first: the front-end's processor waits for it. */
  kickedInBand(vring: Vring): void {
    vring.started = true;
    this.update(vring);
    this.#serveLater(vring);
  }

  /** Lets a ring run, or stops it, by what is now known of it. */
  update(vring: Vring): void {
    // Without the protocol's features there is no request to enable a ring.
    const enabled = vring.enabled || !hasBit(this.features, VHOST_USER_F_PROTOCOL_FEATURES);
    const wanted = vring.started && enabled && !this.#over;
    if (wanted && vring.queue === undefined) this.#run(vring);
    else if (!wanted && vring.queue !== undefined) this.#halt(vring);
  }

  /** Changes the memory, or where rings are in it, while these don't look at it. */
  rearrange(vrings: readonly Vring[], change: () => void): void {
    const running = vrings.filter(({ queue }) => queue !== undefined);
    for (const vring of running) this.#pause(vring);
    try {
      change();
    } finally {
      for (const vring of running) this.update(vring);
    }
  }

  /** Ends it; for who offers the device. */
  close(reason: string): void {
    this.#end(reason, false);
  }

  /**
   * Ends it for what the front-end or the driver did. At once nothing more comes out of the rings; the device is told
   * when its present call is over.
   */
  fail(reason: string): void {
    if (this.#over) return;
    this.#failure = reason;
    for (const vring of this.vrings) {
      vring.queue?.stop();
      vring.error();
    }
    queueMicrotask(() => this.#end(reason, true));
  }

  /** It has ended, or is about to. */
  get #over(): boolean {
    return this.#ended || this.#failure !== undefined;
  }

  #message(message: Message): void {
    if (this.#over) return;
    this.#guard(() => {
      const answer = handleRequest(this, message);
      if (answer !== undefined) this.#connection.reply(message.request, answer);
    });
  }

  /** Counts a refusal, and says it as long as there are few. */
  refuse(text: string): void {
    this.#refusals++;
    this.#events.refused();
    if (this.#refusals <= MAX_REFUSALS_LOGGED) this.#events.log(text);
  }

  #run(vring: Vring): void {
    if (vring.num === 0 || vring.addresses === undefined) {
      this.fail(`ring ${vring.index} was started before it was set up`);
      return;
    }
    try {
      vring.queue = new SplitQueue({
        ring: openRing(vring.num, vring.addresses, this.memory),
        memory: this.memory,
        base: vring.base,
        eventIdx: hasBit(this.features, VIRTIO_RING_F_EVENT_IDX),
        indirect: hasBit(this.features, VIRTIO_RING_F_INDIRECT_DESC),
        call: () => this.#call(vring),
        later: () => this.#serveLater(vring),
        wroteUsed: (offset, length) => {
          if (vring.logAddress === undefined) return;
          this.memory.dirty?.mark(vring.logAddress + offset, length);
        },
        fail: (reason) => this.fail(`ring ${vring.index}: ${reason}`),
      });
    } catch (error) {
      if (!(error instanceof RingError)) throw error;
      this.fail(`ring ${vring.index}: ${error.message}`);
      return;
    }
    const { queue } = vring;
    if (!this.#attached) {
      this.#attached = true;
      this.#guard(() => this.device.attached(this.#host(), this.features));
    }
    if (this.#over) return;
    this.#guard(() => this.device.started(vring.index, queue));
    // What was made available before is to be found, however the kick for it came.
    this.#serveLater(vring);
  }

  #serve(vring: Vring, queue: SplitQueue): void {
    queue.refill();
    this.#guard(() => this.device.kicked(vring.index));
  }

  #serveLater(vring: Vring): void {
    if (this.#later.size === 0) setImmediate(() => this.#serveAll());
    this.#later.add(vring);
  }

  #serveAll(): void {
    const vrings = [...this.#later];
    this.#later.clear();
    for (const vring of vrings) if (vring.queue !== undefined) this.#serve(vring, vring.queue);
  }

  /** Stops a ring; it goes on where it was when it runs again. */
  #pause(vring: Vring): void {
    if (vring.queue === undefined) return;
    const { queue } = vring;
    this.#guard(() => this.device.stopped(vring.index));
    vring.base = queue.next;
    queue.stop();
    vring.queue = undefined;
  }

  /** Stops a ring; with the last one the driver is gone. */
  #halt(vring: Vring): void {
    this.#pause(vring);
    if (this.vrings.every(({ queue }) => queue === undefined))
      this.#detach('its driver has stopped');
  }

  #detach(reason: string): void {
    if (!this.#attached) return;
    this.#attached = false;
    this.#guard(() => this.device.detached(reason));
  }

  #call(vring: Vring): void {
    if (vring.call()) return;
    if (this.has(VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS)) this.#channel?.call(vring.index);
  }

  #host(): DeviceHost {
    return {
      configChanged: () => {
        if (this.has(VHOST_USER_PROTOCOL_F_CONFIG)) this.#channel?.configChanged();
      },
      fail: (reason) => this.fail(reason),
      release: (range) => this.memory.release(range),
    };
  }

  /** A defect in a device ends this session, and nothing else. */
  #guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      if (error instanceof Violation) return this.fail(error.message);
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#events.log(`a defect of the device: ${text}`);
      this.fail('a defect of the device');
    }
  }

  #end(reason: string, faulty: boolean): void {
    if (this.#ended) return;
    this.#failure ??= reason;
    for (const vring of this.vrings) this.#pause(vring);
    this.#detach(reason);
    this.#ended = true;
    for (const vring of this.vrings) vring.close();
    this.memory.clear();
    this.log.close();
    this.#channel?.close();
    this.#connection.close();
    this.#events.ended(reason, faulty);
  }
}
