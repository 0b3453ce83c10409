/** A node of the guest device that answers as it is told to, and writes down what it was asked. */
import { type ErrorCode, SystemError } from '../../../../../src/core/abi/errno.js';
import { HGCMFunctionParameter64 } from '../../../../../src/core/abi/hgcm.js';
import {
  VBG_IOCTL_CHANGE_FILTER_MASK,
  VBG_IOCTL_CHECK_BALLOON,
  VBG_IOCTL_HGCM_CALL_64,
  VBG_IOCTL_HGCM_CONNECT,
  VBG_IOCTL_HGCM_DISCONNECT,
  VBG_IOCTL_VMMDEV_REQUEST,
  VBG_IOCTL_WAIT_FOR_EVENTS,
  vbg_ioctl_change_filter_in,
  vbg_ioctl_check_balloon_out,
  vbg_ioctl_hdr,
  vbg_ioctl_hgcm_call,
  vbg_ioctl_hgcm_connect_in,
  vbg_ioctl_hgcm_connect_out,
  vbg_ioctl_hgcm_disconnect_in,
  vbg_ioctl_wait_for_events_in,
  vbg_ioctl_wait_for_events_out,
} from '../../../../../src/core/abi/vboxguest.js';
import {
  VMMDevGetStatisticsChangeRequest,
  VMMDevReportGuestStats,
} from '../../../../../src/core/abi/vmmdev-memory.js';
import { VMMDevReportGuestStatus } from '../../../../../src/core/abi/vmmdev-requests.js';
import { VirtualClock } from '../../../../../src/core/simulator/clock.js';
import { Deadlines } from '../../../../../src/core/simulator/deadlines.js';
import {
  type IoctlReply,
  type OpenNode,
  PendingIoctl,
  type UserMemory,
} from '../../../../../src/core/simulator/node.js';
import { GuestAgent } from '../../../../../src/core/simulator/vbox/agent/agent.js';
import { pass } from '../../../../helpers/time.js';

const decoder = new TextDecoder();

/** What a call asked for in words, and its answer. */
interface Asked {
  words: string;
  data?: Uint8Array;
}

export class ScriptedNode implements OpenNode {
  readonly #lab: AgentLab;
  closed = false;
  readonly waits: PendingIoctl[] = [];

  constructor(lab: AgentLab) {
    this.#lab = lab;
  }

  ioctl(
    request: number,
    argument: Uint8Array | number,
    memory?: UserMemory,
  ): IoctlReply | PendingIoctl {
    if (typeof argument === 'number' || this.closed) throw new SystemError('EBADF');
    const { words, data = argument.slice() } = this.#ask(request, argument, memory);
    this.#lab.log.push(words);
    const failure = this.#lab.failures.get(words.split(' ')[0] ?? '');
    if (typeof failure === 'string') throw new SystemError(failure);
    if (typeof failure === 'number')
      data.set(Int8Array.of(failure, -1, -1, -1), vbg_ioctl_hdr.offset('rc'));
    if (request === VBG_IOCTL_WAIT_FOR_EVENTS) return this.#pend(this.waits);
    const slow = this.#lab.slow && words.startsWith('set');
    if (!slow) return { result: 0, data };
    const pending = new PendingIoctl(() => undefined);
    this.#lab.pending.push(() => pending.finish({ result: 0, data }));
    return pending;
  }

  close(): void {
    this.closed = true;
    this.#lab.log.push('close');
    for (const wait of this.waits) wait.finish(new SystemError('EINTR'));
  }

  /** Ends the waits as the event does. */
  event(events: number): void {
    const data = new Uint8Array(vbg_ioctl_wait_for_events_in.size);
    data.set(vbg_ioctl_wait_for_events_out.encode({ events }));
    for (const wait of this.waits.splice(0)) wait.finish({ result: 0, data });
  }

  #pend(list: PendingIoctl[]): PendingIoctl {
    const pending = new PendingIoctl(() => pending.finish(new SystemError('EINTR')));
    list.push(pending);
    return pending;
  }

  #ask(request: number, data: Uint8Array, memory: UserMemory | undefined): Asked {
    const { size_in, size_out, type } = vbg_ioctl_hdr.decode(data);
    const long = Math.max(size_in, size_out);
    if (long !== data.length) return { words: `sizes ${size_in} ${size_out}` };
    if (request === VBG_IOCTL_CHANGE_FILTER_MASK) {
      const { or_mask, not_mask } = vbg_ioctl_change_filter_in.decode(data);
      return { words: `filter +${or_mask.toString(16)} -${not_mask.toString(16)}` };
    }
    if (request === VBG_IOCTL_WAIT_FOR_EVENTS) {
      const { events, timeout_ms } = vbg_ioctl_wait_for_events_in.decode(data);
      return { words: `wait ${events.toString(16)} ${timeout_ms.toString(16)}` };
    }
    if (request === VBG_IOCTL_CHECK_BALLOON) {
      return answer('balloon', data, vbg_ioctl_check_balloon_out.encode({ balloon_chunks: 17 }));
    }
    if (request === VBG_IOCTL_HGCM_CONNECT) {
      const { loc } = vbg_ioctl_hgcm_connect_in.decode(data);
      const words = `connect ${decoder.decode(loc.achName).replace(/\0+$/, '')} ${loc.type}`;
      return answer(words, data, vbg_ioctl_hgcm_connect_out.encode({ client_id: 5 }));
    }
    if (request === VBG_IOCTL_HGCM_DISCONNECT) {
      return { words: `disconnect ${vbg_ioctl_hgcm_disconnect_in.decode(data).client_id}` };
    }
    if (request === VBG_IOCTL_HGCM_CALL_64(data.length)) return { words: callWords(data, memory) };
    if (request === VBG_IOCTL_VMMDEV_REQUEST(data.length)) return this.#request(type, data);
    return { words: `unknown ${request.toString(16)}` };
  }

  #request(type: number, data: Uint8Array): Asked {
    if (type === 59) {
      const { facility, status } = VMMDevReportGuestStatus.decode(data).guestStatus;
      return { words: `status ${facility} ${status}` };
    }
    if (type === 112) {
      const asked = VMMDevGetStatisticsChangeRequest.decode(data);
      const reply = VMMDevGetStatisticsChangeRequest.encode({
        ...asked,
        u32StatInterval: this.#lab.interval,
      });
      return { words: `interval ${asked.eventAck.toString(16)}`, data: reply };
    }
    if (type === 110) {
      const { guestStats } = VMMDevReportGuestStats.decode(data);
      this.#lab.reports.push(guestStats);
      return { words: `report ${guestStats.u32CpuId}` };
    }
    return { words: `request ${type}` };
  }
}

function answer(words: string, argument: Uint8Array, reply: Uint8Array): Asked {
  const data = argument.slice();
  data.set(reply.subarray(vbg_ioctl_hdr.size), vbg_ioctl_hdr.size);
  return { words, data };
}

function callWords(data: Uint8Array, memory: UserMemory | undefined): string {
  const call = vbg_ioctl_hgcm_call.decode(data);
  const texts = Array.from({ length: call.parm_count }, (_, index) => {
    const at = vbg_ioctl_hgcm_call.size + index * HGCMFunctionParameter64.size;
    const { type, size, linearAddr } = HGCMFunctionParameter64.decode(data.subarray(at));
    const text = memory === undefined ? '' : decoder.decode(memory.read(linearAddr, size));
    return type === 5 ? JSON.stringify(text) : `type ${type}`;
  });
  return `set ${call.client_id} ${call.function} ${texts.join(' ')}`;
}

/** A guest with an agent and a scripted node. */
export class AgentLab {
  readonly clock = new VirtualClock();
  readonly deadlines = new Deadlines();
  /** What was asked. */
  readonly log: string[] = [];
  readonly kernelLog: string[] = [];
  readonly reports: Record<string, number>[] = [];
  /** By the first word of what is asked: the error, or the status, that it fails with. */
  readonly failures = new Map<string, ErrorCode | number>();
  readonly nodes: ScriptedNode[] = [];
  /** Calls that a service has not ended yet, while it is slow. */
  readonly pending: (() => void)[] = [];
  slow = false;
  interval = 0;
  free = 300 * 2 ** 20;
  cpus = 2;
  openError: ErrorCode | undefined;

  readonly agent = new GuestAgent({
    clock: this.clock,
    deadlines: this.deadlines,
    open: () => {
      if (this.openError !== undefined) throw new SystemError(this.openError);
      this.log.push('open');
      const node = new ScriptedNode(this);
      this.nodes.push(node);
      return node;
    },
    facts: {
      hostname: 'web1',
      cpus: () => this.cpus,
      memoryBytes: () => 512 * 2 ** 20,
      freeBytes: () => this.free,
    },
    log: (text) => this.kernelLog.push(text),
  });

  advance(ms: number): void {
    pass(this.clock, this.deadlines, ms);
  }

  /** What was asked since the last look. */
  take(): string[] {
    return this.log.splice(0);
  }

  event(): void {
    this.nodes.at(-1)?.event(0x80);
    this.advance(0);
  }
}
