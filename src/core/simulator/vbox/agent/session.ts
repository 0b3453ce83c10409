/** One run of the guest's agent, from the opening of its node to the closing. */

import { VMMDEV_EVENT, VMMDEV_REQUEST_TYPE } from '../../../abi/vmmdev.js';
import { VMMDevGetStatisticsChangeRequest } from '../../../abi/vmmdev-memory.js';
import {
  VBOX_GUEST_FACILITY,
  VBOX_GUEST_FACILITY_STATUS,
  VMMDevReportGuestStatus,
} from '../../../abi/vmmdev-requests.js';
import type { Clock } from '../../clock.js';
import type { Deadline, Deadlines } from '../../deadlines.js';
import type { OpenNode } from '../../node.js';
import { CallFailed, GuestDevice } from './guest-device.js';
import { tellProperties } from './properties.js';
import { type GuestFacts, statisticsReports } from './statistics.js';

/** What an agent has of the guest that it runs in. */
export interface AgentPlatform {
  /** Opens /dev/vboxguest as root. @throws SystemError where the guest has none. */
  open(): OpenNode;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly facts: GuestFacts;
  /** A line in the guest's log. */
  log(text: string): void;
}

/** How it behaves, which may change while it runs. */
export interface AgentManners {
  /** It takes no events of the balloon, and reports no statistics. */
  readonly refusing: boolean;
  /** Milliseconds by which all that it does by itself comes later. */
  readonly lagMs: number;
}

const STATISTICS = VMMDEV_EVENT.VMMDEV_EVENT_STATISTICS_INTERVAL_CHANGE_REQUEST;
const FILTER = VMMDEV_EVENT.VMMDEV_EVENT_BALLOON_CHANGE_REQUEST | STATISTICS;

type Status = keyof typeof VBOX_GUEST_FACILITY_STATUS;

export class AgentSession {
  readonly #platform: AgentPlatform;
  readonly #manners: AgentManners;
  readonly #device: GuestDevice;
  /** What has been logged, so that a guest's log does not fill with one failure. */
  readonly #failures = new Set<string>();
  #report: Deadline | undefined;
  #reaction: Deadline | undefined;

  /** @throws SystemError what opening the node throws. */
  constructor(platform: AgentPlatform, manners: AgentManners) {
    this.#platform = platform;
    this.#manners = manners;
    this.#device = new GuestDevice(platform.open(), (run) => void this.#after(0, run));
    this.#status('VBoxGuestFacilityStatus_Init');
    const failed = (what: string, why: CallFailed): void => this.#failed(what, why);
    tellProperties(this.#device, platform.facts, failed, () => {
      this.#status('VBoxGuestFacilityStatus_Active');
      this.mannersChanged();
      this.#wait();
    });
  }

  /** Tells the host, and closes the node. */
  stop(): void {
    this.#status('VBoxGuestFacilityStatus_Terminated');
    this.kill();
  }

  /** Closes the node without a word. */
  kill(): void {
    this.#report?.cancel();
    this.#reaction?.cancel();
    this.#device.close();
  }

  /** It has begun to refuse, or has ended to. */
  mannersChanged(): void {
    const [or, not] = this.#manners.refusing ? [0, FILTER] : [FILTER, 0];
    this.#device.changeFilter(or, not, this.#expect('change the filter'));
    this.askInterval();
  }

  #wait(): void {
    this.#device.waitForEvents(STATISTICS, (events) => {
      // One that can't be waited for would be asked for again and again.
      if (events instanceof CallFailed) this.#failed('wait for events', events);
      else this.#reaction = this.#after(this.#manners.lagMs, () => this.#reactToEvent());
    });
  }

  #reactToEvent(): void {
    this.askInterval();
    this.#wait();
  }

  /** Asks how often statistics are wanted, and begins with them. */
  askInterval(): void {
    this.#report?.cancel();
    this.#report = undefined;
    if (this.#manners.refusing) return;
    const body = VMMDevGetStatisticsChangeRequest.encode({ eventAck: STATISTICS });
    const type = VMMDEV_REQUEST_TYPE.VMMDevReq_GetStatisticsChangeRequest;
    this.#device.request(type, body, (answer) => {
      if (answer instanceof CallFailed) this.#failed('ask for the statistics interval', answer);
      else this.#reportEvery(VMMDevGetStatisticsChangeRequest.decode(answer).u32StatInterval);
    });
  }

  /** Seconds; the first one at once, and none at all for 0. */
  #reportEvery(intervalS: number, afterMs = 0): void {
    if (intervalS === 0) return;
    this.#report = this.#after(afterMs + this.#manners.lagMs, () => {
      this.#sendReports();
      this.#reportEvery(intervalS, intervalS * 1000);
    });
  }

  #sendReports(): void {
    this.#device.checkBalloon((chunks) => {
      if (chunks instanceof CallFailed) {
        this.#failed('ask for the balloon', chunks);
        return;
      }
      for (const body of statisticsReports(this.#platform.facts, chunks)) {
        const type = VMMDEV_REQUEST_TYPE.VMMDevReq_ReportGuestStats;
        this.#device.request(type, body, this.#expect('report statistics'));
      }
    });
  }

  #status(status: Status): void {
    const body = VMMDevReportGuestStatus.encode({
      guestStatus: {
        facility: VBOX_GUEST_FACILITY.VBoxGuestFacilityType_VBoxService,
        status: VBOX_GUEST_FACILITY_STATUS[status],
        flags: 0,
      },
    });
    const type = VMMDEV_REQUEST_TYPE.VMMDevReq_ReportGuestStatus;
    this.#device.request(type, body, this.#expect('report the status'));
  }

  #after(ms: number, run: () => void): Deadline {
    const { clock, deadlines } = this.#platform;
    return deadlines.schedule(clock.monotonicMs() + ms, run);
  }

  #expect(what: string): (answer: unknown) => void {
    return (answer) => {
      if (answer instanceof CallFailed) this.#failed(what, answer);
    };
  }

  #failed(what: string, { reason }: CallFailed): void {
    if (this.#failures.has(what)) return;
    this.#failures.add(what);
    this.#platform.log(`vmmctl-agent: can't ${what}: ${reason}`);
  }
}
