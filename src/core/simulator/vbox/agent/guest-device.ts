/**
 * /dev/vboxguest as a program in the guest uses it: every call is bytes to an open node. What VbglR3 is to VBoxService.
 */
import { SystemError } from '../../../abi/errno.js';
import {
  HGCMFunctionParameter64,
  VMMDEV_HGCM_LOC,
  VMMDEV_HGCM_PARM_TYPE,
} from '../../../abi/hgcm.js';
import { vboxStatusName } from '../../../abi/vbox-err.js';
import {
  VBG_IOCTL_CHANGE_FILTER_MASK,
  VBG_IOCTL_CHECK_BALLOON,
  VBG_IOCTL_HDR_TYPE_DEFAULT,
  VBG_IOCTL_HDR_VERSION,
  VBG_IOCTL_HGCM_CALL_64,
  VBG_IOCTL_HGCM_CONNECT,
  VBG_IOCTL_HGCM_DISCONNECT,
  VBG_IOCTL_SIZES,
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
} from '../../../abi/vboxguest.js';
import { VMMDEV_REQUEST_HEADER_VERSION } from '../../../abi/vmmdev.js';
import {
  type IoctlOutcome,
  NO_USER_MEMORY,
  type OpenNode,
  PendingIoctl,
  type UserMemory,
} from '../../node.js';
import { CallMemory } from './call-memory.js';

/** Why a call failed: the name of an error or of a status. */
export class CallFailed {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

export type Done<T> = (answer: T | CallFailed) => void;

const FOREVER = 0xffffffff;
const encoder = new TextEncoder();

/** An open node. Calls answer at once or later, and not at all once the node is closed. */
export class GuestDevice {
  readonly #node: OpenNode;
  readonly #later: (run: () => void) => void;
  #open = true;

  /** @param later runs what a call that waited makes happen, when the driver is done with what it is doing. */
  constructor(node: OpenNode, later: (run: () => void) => void) {
    this.#node = node;
    this.#later = later;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#node.close();
  }

  changeFilter(orMask: number, notMask: number, done: Done<void>): void {
    const sizes = VBG_IOCTL_SIZES.VBG_IOCTL_CHANGE_FILTER_MASK;
    const argument = vbg_ioctl_change_filter_in.encode({
      hdr: header(sizes),
      or_mask: orMask,
      not_mask: notMask,
    });
    this.#ask(VBG_IOCTL_CHANGE_FILTER_MASK, argument, done, () => undefined);
  }

  /** Events that have happened, of those in the mask; waits for one. */
  waitForEvents(events: number, done: Done<number>): void {
    const argument = vbg_ioctl_wait_for_events_in.encode({
      hdr: header(VBG_IOCTL_SIZES.VBG_IOCTL_WAIT_FOR_EVENTS),
      timeout_ms: FOREVER,
      events,
    });
    const read = (data: Uint8Array) => vbg_ioctl_wait_for_events_out.decode(data).events;
    this.#ask(VBG_IOCTL_WAIT_FOR_EVENTS, argument, done, read);
  }

  /** Chunks of the balloon. */
  checkBalloon(done: Done<number>): void {
    const argument = vbg_ioctl_check_balloon_out.encode({
      hdr: header(VBG_IOCTL_SIZES.VBG_IOCTL_CHECK_BALLOON),
    });
    const read = (data: Uint8Array) => vbg_ioctl_check_balloon_out.decode(data).balloon_chunks;
    this.#ask(VBG_IOCTL_CHECK_BALLOON, argument, done, read);
  }

  /** Passes a request to the host. @param body the request, whose header is filled in here. */
  request(type: number, body: Uint8Array, done: Done<Uint8Array>): void {
    const size = body.length;
    const argument = body.slice();
    const hdr = { size_in: size, version: VMMDEV_REQUEST_HEADER_VERSION, type, size_out: size };
    argument.set(vbg_ioctl_hdr.encode(hdr));
    this.#ask(VBG_IOCTL_VMMDEV_REQUEST(size), argument, done, (data) => data);
  }

  /** Connects to a service; gives the client's number. */
  connect(service: string, done: Done<number>): void {
    const argument = vbg_ioctl_hgcm_connect_in.encode({
      hdr: header(VBG_IOCTL_SIZES.VBG_IOCTL_HGCM_CONNECT),
      loc: {
        type: VMMDEV_HGCM_LOC.VMMDevHGCMLoc_LocalHost_Existing,
        achName: encoder.encode(`${service}\0`),
      },
    });
    const read = (data: Uint8Array) => vbg_ioctl_hgcm_connect_out.decode(data).client_id;
    this.#ask(VBG_IOCTL_HGCM_CONNECT, argument, done, read);
  }

  disconnect(client: number, done: Done<void>): void {
    const argument = vbg_ioctl_hgcm_disconnect_in.encode({
      hdr: header(VBG_IOCTL_SIZES.VBG_IOCTL_HGCM_DISCONNECT),
      client_id: client,
    });
    this.#ask(VBG_IOCTL_HGCM_DISCONNECT, argument, done, () => undefined);
  }

  /** Calls a service with texts, each with a NUL behind it. */
  callWithTexts(client: number, fn: number, texts: readonly string[], done: Done<void>): void {
    const memory = new CallMemory(texts.map((text) => encoder.encode(`${text}\0`)));
    const size = vbg_ioctl_hgcm_call.size + texts.length * HGCMFunctionParameter64.size;
    const argument = new Uint8Array(size);
    argument.set(
      vbg_ioctl_hgcm_call.encode({
        hdr: header({ in: size, out: size }),
        client_id: client,
        function: fn,
        timeout_ms: FOREVER,
        parm_count: texts.length,
      }),
    );
    for (const [index, { address, length }] of memory.places.entries()) {
      const parameter = HGCMFunctionParameter64.encode({
        type: VMMDEV_HGCM_PARM_TYPE.VMMDevHGCMParmType_LinAddr_In,
        size: length,
        linearAddr: address,
      });
      argument.set(parameter, vbg_ioctl_hgcm_call.size + index * parameter.length);
    }
    this.#ask(VBG_IOCTL_HGCM_CALL_64(size), argument, done, () => undefined, memory);
  }

  #ask<T>(
    request: number,
    argument: Uint8Array,
    done: Done<T>,
    read: (data: Uint8Array) => T,
    memory: UserMemory = NO_USER_MEMORY,
  ): void {
    const finish = (outcome: IoctlOutcome): void => {
      if (this.#open) done(answerOf(outcome, argument.length, read));
    };
    const started = this.#start(request, argument, memory);
    if (!(started instanceof PendingIoctl)) finish(started);
    else if (started.finished) started.onFinish(finish);
    else {
      started.onFinish((outcome) => {
        if (this.#open) this.#later(() => finish(outcome));
      });
    }
  }

  #start(request: number, argument: Uint8Array, memory: UserMemory): IoctlOutcome | PendingIoctl {
    try {
      return this.#node.ioctl(request, argument, memory);
    } catch (error) {
      if (error instanceof SystemError) return error;
      throw error;
    }
  }
}

function header(sizes: { in: number; out: number }) {
  return {
    ...vbg_ioctl_hdr.zero(),
    size_in: sizes.in,
    version: VBG_IOCTL_HDR_VERSION,
    type: VBG_IOCTL_HDR_TYPE_DEFAULT,
    size_out: sizes.out,
  };
}

function answerOf<T>(
  outcome: IoctlOutcome,
  length: number,
  read: (data: Uint8Array) => T,
): T | CallFailed {
  if (outcome instanceof SystemError) return new CallFailed(outcome.code);
  const { data } = outcome;
  if (data === undefined || data.length < length) return new CallFailed('EFAULT');
  const { rc } = vbg_ioctl_hdr.decode(data);
  return rc < 0 ? new CallFailed(vboxStatusName(rc)) : read(data);
}
