/** What the driver has between its start and its end: struct vbg_dev in vboxguest_core.h. */
import type { DriverPlatform } from '../platform.js';
import { Balloon, type BalloonSettings } from './balloon.js';
import { Capabilities } from './capabilities.js';
import { Events } from './events.js';
import { EventFilter } from './filter.js';
import { Heartbeat, type HeartbeatFaults } from './heartbeat.js';
import { Hgcm } from './hgcm.js';
import type { HostRequests } from './host-requests.js';
import type { KernelLog } from './kernel-log.js';
import type { Session } from './session.js';

export type VbgSettings = BalloonSettings & HeartbeatFaults;

export class Vbg {
  readonly host: HostRequests;
  readonly log: KernelLog;
  readonly events: Events;
  readonly filter: EventFilter;
  readonly capabilities: Capabilities;
  readonly hgcm: Hgcm;
  readonly balloon: Balloon;
  readonly heartbeat: Heartbeat;
  readonly sessions = new Set<Session>();
  /** The host has addresses of the kernel for mappings of its own. */
  hasMappings = false;

  constructor(platform: DriverPlatform, host: HostRequests, log: KernelLog, settings: VbgSettings) {
    const { clock, deadlines, pages } = platform;
    this.host = host;
    this.log = log;
    this.events = new Events(clock, deadlines);
    this.filter = new EventFilter(host, log);
    this.capabilities = new Capabilities(host, this.events, log);
    this.hgcm = new Hgcm({ host, log, clock, deadlines });
    this.balloon = new Balloon({ host, log, pages, clock, deadlines, settings });
    this.heartbeat = new Heartbeat({ host, log, clock, deadlines, faults: settings });
  }

  /** Nothing of it happens any more, and the host is told nothing. */
  abandon(): void {
    for (const session of [...this.sessions]) session.abandon();
    this.events.abandon();
    this.hgcm.abandon();
    this.balloon.cancel();
    this.heartbeat.cancel();
  }
}
