/** What a request's handler works on. */
import type { DevicePlatform } from '../platform.js';
import type { Balloon } from './balloon.js';
import type { VmmDevConfig } from './config.js';
import type { Events } from './events.js';
import type { Facilities } from './facilities.js';
import type { GuestReport } from './guest-report.js';
import type { Heartbeat } from './heartbeat.js';
import type { Hgcm } from './hgcm.js';
import type { GuestLog } from './log.js';
import type { Statistics } from './statistics.js';

/** What a guest may ask to become of its VM. */
export type PowerRequest = 'pause' | 'power-off' | 'save-state';

/** What is too small for a part of its own. */
export interface DeviceState {
  /** Changes when the VM starts and when it is reset. */
  sessionId: bigint;
  /** Of VMMDEV_MOUSE, as a mask. */
  mouseFeatures: number;
  /** The guest's last wish. The device itself does nothing about it. */
  powerRequest: PowerRequest | undefined;
}

export interface DeviceParts {
  readonly platform: DevicePlatform;
  readonly config: VmmDevConfig;
  readonly log: GuestLog;
  readonly events: Events;
  readonly report: GuestReport;
  readonly facilities: Facilities;
  readonly balloon: Balloon;
  readonly statistics: Statistics;
  readonly heartbeat: Heartbeat;
  readonly hgcm: Hgcm;
  readonly state: DeviceState;
}
