/**
 * Requests of HGCM, which the host may answer later: it then sets a flag in them and raises an event. Follows
 * vbg_hgcm_connect() and its neighbours in vboxguest_utils.c.
 */
import type { ErrorCode } from '../../../abi/errno.js';
import {
  VBOX_HGCM_REQ_CANCELLED,
  VBOX_HGCM_REQ_DONE,
  VMMDevHGCMCancel2,
  VMMDevHGCMConnect,
  VMMDevHGCMDisconnect,
  VMMDevHGCMRequestHeader,
} from '../../../abi/hgcm.js';
import { i32, toBytes, u32 } from '../../../abi/layout.js';
import { VBOX_STATUS } from '../../../abi/vbox-err.js';
import { VMMDEV_REQUEST_TYPE, VMMDevRequestHeader } from '../../../abi/vmmdev.js';
import type { Clock } from '../../clock.js';
import type { Deadline, Deadlines } from '../../deadlines.js';
import { waitsForever } from './events.js';
import { encodeRequest, type HostRequests } from './host-requests.js';
import type { KernelLog } from './kernel-log.js';

const FLAGS_OFFSET = VMMDevHGCMRequestHeader.offset('fu32Flags');
const RESULT_OFFSET = VMMDevHGCMRequestHeader.offset('result');
const TYPE_OFFSET = VMMDevRequestHeader.offset('requestType');
const CONNECT_CLIENT_OFFSET = VMMDevHGCMConnect.offset('u32ClientID');

/** How long a call that could not be cancelled is still waited for, milliseconds. */
const GRACE_LOST_RACE_MS = 500;
const GRACE_MS = 2000;

type Ending = 'done' | 'ETIMEDOUT' | 'EINTR';

interface Wait {
  readonly address: number;
  readonly end: (ending: Ending) => void;
}

export interface HgcmOptions {
  readonly host: HostRequests;
  readonly log: KernelLog;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
}

export class Hgcm {
  readonly #options: HgcmOptions;
  readonly #waits = new Map<Wait, Deadline | undefined>();
  /** Bytes of the buffers of all calls that are under way. */
  bounceBytes = 0;

  constructor(options: HgcmOptions) {
    this.#options = options;
  }

  /** The host has raised its event. */
  wake(): void {
    for (const wait of [...this.#waits.keys()]) {
      if (this.#waits.has(wait) && this.#isDone(wait.address)) this.#end(wait, 'done');
    }
  }

  /** Forgets all that wait, without a word. */
  abandon(): void {
    for (const deadline of this.#waits.values()) deadline?.cancel();
    this.#waits.clear();
  }

  /**
   * Connects to a service, whose location is struct vmmdev_hgcm_service_location. `end` is called once, perhaps before
   * this returns; no signal ends it. @throws SystemError ENOMEM; `end` is not called then.
   */
  connect(
    location: Uint8Array,
    requestor: number,
    end: (status: number, client: number) => void,
  ): void {
    const { host } = this.#options;
    const data = encodeRequest(VMMDevHGCMConnect, 'VMMDevReq_HGCMConnect', requestor, {});
    data.set(location, VMMDevHGCMConnect.offset('loc'));
    this.#submit(data, (status, address) =>
      end(status, host.readInt(address + CONNECT_CLIENT_OFFSET) >>> 0),
    );
  }

  /** As `connect`. @throws SystemError ENOMEM. */
  disconnect(client: number, requestor: number, end: (status: number) => void): void {
    const fields = { u32ClientID: client };
    const name = 'VMMDevReq_HGCMDisconnect';
    this.#submit(encodeRequest(VMMDevHGCMDisconnect, name, requestor, fields), end);
  }

  /**
   * Makes a call whose request stands at an address. `end` is called once, perhaps before this returns: without an
   * error the request has a result. With `leaked` the host may still write to it. Gives what a signal does.
   */
  call(
    address: number,
    timeoutMs: number,
    end: (error: ErrorCode | undefined, leaked: boolean) => void,
  ): () => void {
    const { host } = this.#options;
    const rc = host.perform(address);
    // A failure is the result of the call, and no failure to make it.
    if (rc < 0) host.write(address + RESULT_OFFSET, toBytes(i32, rc));
    if (rc !== VBOX_STATUS.VINF_HGCM_ASYNC_EXECUTE) {
      end(undefined, false);
      return () => undefined;
    }
    return this.#wait(address, waitsForever(timeoutMs) ? undefined : timeoutMs, (ending) => {
      if (ending === 'done') end(undefined, false);
      else this.#cancel(address, ending, end);
    });
  }

  /** The result of a call that has ended without an error. */
  result(address: number): number {
    return this.#options.host.readInt(address + RESULT_OFFSET);
  }

  /** Makes a request that no signal ends. @throws SystemError ENOMEM. */
  #submit(data: Uint8Array, end: (status: number, address: number) => void): void {
    const { host } = this.#options;
    const address = host.allocate(data.length);
    host.write(address, data);
    const rc = host.perform(address);
    const finish = () => {
      end(rc < 0 ? rc : this.result(address), address);
      host.release(address);
    };
    if (rc === VBOX_STATUS.VINF_HGCM_ASYNC_EXECUTE) this.#wait(address, undefined, finish);
    else finish();
  }

  #cancel(
    address: number,
    error: ErrorCode,
    end: (error: ErrorCode | undefined, leaked: boolean) => void,
  ): void {
    const rc = this.#tellCancelled(address);
    if (rc >= 0) {
      end(error, false);
      return;
    }
    // The host may have ended the call just now.
    const lostRace = rc === VBOX_STATUS.VERR_NOT_FOUND || rc === VBOX_STATUS.VERR_SEM_DESTROYED;
    this.#wait(address, lostRace ? GRACE_LOST_RACE_MS : GRACE_MS, (ending) => {
      if (ending === 'done') {
        end(undefined, false);
        return;
      }
      const what = 'Call timedout and cancellation failed, leaking the request';
      this.#options.log.printLimited(`vbg_hgcm_do_call: ${what}`);
      end(error, true);
    });
  }

  #tellCancelled(address: number): number {
    const { host } = this.#options;
    const fields = { physReqToCancel: address };
    const cancel = host.ask('VMMDevReq_HGCMCancel2', VMMDevHGCMCancel2, fields, {
      reserved: 'cancel',
    });
    let { rc } = cancel;
    if (rc === VBOX_STATUS.VERR_NOT_IMPLEMENTED) {
      this.#addFlag(address, VBOX_HGCM_REQ_CANCELLED);
      host.write(address + TYPE_OFFSET, toBytes(u32, VMMDEV_REQUEST_TYPE.VMMDevReq_HGCMCancel));
      rc = host.perform(address);
      if (rc === VBOX_STATUS.VERR_INVALID_PARAMETER) rc = VBOX_STATUS.VERR_NOT_FOUND;
    }
    if (rc >= 0) this.#addFlag(address, VBOX_HGCM_REQ_CANCELLED);
    return rc;
  }

  /** Waits until a request is done; without a limit in milliseconds, for ever. Gives what a signal does. */
  #wait(address: number, limitMs: number | undefined, end: (ending: Ending) => void): () => void {
    const { clock, deadlines } = this.#options;
    const wait: Wait = { address, end };
    if (this.#isDone(address)) {
      end('done');
      return () => undefined;
    }
    if (limitMs === 0) {
      end('ETIMEDOUT');
      return () => undefined;
    }
    const expire = () => this.#end(wait, 'ETIMEDOUT');
    const atMs = clock.monotonicMs() + (limitMs ?? 0);
    this.#waits.set(wait, limitMs === undefined ? undefined : deadlines.schedule(atMs, expire));
    return () => this.#end(wait, 'EINTR');
  }

  #end(wait: Wait, ending: Ending): void {
    if (!this.#waits.has(wait)) return;
    this.#waits.get(wait)?.cancel();
    this.#waits.delete(wait);
    // A program can take the event away from the driver, which then sees only here that the host is through.
    wait.end(this.#isDone(wait.address) ? 'done' : ending);
  }

  #isDone(address: number): boolean {
    return (this.#options.host.readInt(address + FLAGS_OFFSET) & VBOX_HGCM_REQ_DONE) !== 0;
  }

  #addFlag(address: number, flag: number): void {
    const { host } = this.#options;
    const flags = host.readInt(address + FLAGS_OFFSET) | flag;
    host.write(address + FLAGS_OFFSET, toBytes(u32, flags >>> 0));
  }
}
