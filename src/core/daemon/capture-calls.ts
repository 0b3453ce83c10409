/** Requests about captures: the switch's packets are put where their client fetches them, as fast as it can. */
import { SystemError } from '../abi/errno.js';
import { MAXIMUM_SNAPLEN } from '../abi/pcap.js';
import { decodeHeader } from '../abi/virtio-vsock.js';
import { VSOCKMON_VIRTIO_HEADERS } from '../abi/vsockmon.js';
import type { Domain } from '../simulator/domain.js';
import type { Caller } from '../simulator/node.js';
import type { Channel } from '../simulator/vsock/channel.js';
import type { Guest } from '../simulator/vsock/network.js';
import type { Tap } from '../simulator/vsock/switch.js';
import { Capture } from './capture.js';
import { integer, machineName, optionalInteger, optionalTruth } from './parameters.js';
import type { CallTable, Session } from './session.js';

/** Captures that one client may have. */
const MAX_CAPTURES = 16;

interface Running {
  readonly capture: Capture;
  /** A call waits for packets. */
  awaited: boolean;
}

const running = new WeakMap<Session, Map<number, Running>>();

export const CAPTURE_CALLS: CallTable = {
  capture({ session, parameters }) {
    const of = machineName(parameters);
    const snapLength = integer(parameters, 'snapLength', MAXIMUM_SNAPLEN);
    if (snapLength < VSOCKMON_VIRTIO_HEADERS) throw new SystemError('EINVAL');
    const capture = new Capture({
      port: optionalInteger(parameters, 'port'),
      snapLength,
      nowUs: microseconds(),
    });
    const captures = capturesOf(session);
    if (captures.size >= MAX_CAPTURES) throw new SystemError('EMFILE');
    if (of === 'host') tapHost(session, capture);
    else tapGuest(session, session.shared.keeper.world.domain(of.vm, session.caller), capture);
    const handle = nextHandle(captures);
    captures.set(handle, { capture, awaited: false });
    return { handle };
  },

  /** Waits for packets. With `end`, or when it is cancelled, the capture ends with what waits then. */
  async captureRead({ session, parameters, signal }) {
    const captures = capturesOf(session);
    const handle = integer(parameters, 'handle');
    const found = captures.get(handle);
    if (found === undefined) throw new SystemError('EBADF');
    if (found.awaited) throw new SystemError('EBUSY');
    const { capture } = found;
    const end = () => capture.end();
    if (optionalTruth(parameters, 'end')) end();
    signal.addEventListener('abort', end, { once: true });
    found.awaited = true;
    await capture.ready();
    found.awaited = false;
    signal.removeEventListener('abort', end);
    const binary = capture.take();
    if (capture.over) captures.delete(handle);
    return { binary, lost: capture.lost, over: capture.over };
  },

  captureClose({ session, parameters }) {
    const handle = integer(parameters, 'handle');
    const captures = capturesOf(session);
    captures.get(handle)?.capture.end();
    captures.delete(handle);
    return {};
  },
};

function capturesOf(session: Session): Map<number, Running> {
  const known = running.get(session);
  if (known !== undefined) return known;
  const captures = new Map<number, Running>();
  running.set(session, captures);
  session.onClose(() => {
    for (const { capture } of captures.values()) capture.end();
  });
  return captures;
}

function nextHandle(captures: ReadonlyMap<number, Running>): number {
  let handle = 1;
  while (captures.has(handle)) handle++;
  return handle;
}

/** Every packet of the switch. @throws SystemError EPERM, as for a packet socket of Linux. */
function tapHost(session: Session, capture: Capture): void {
  const { caller } = session;
  if (caller.jail !== '' || !mayCapture(caller)) {
    throw new SystemError('EPERM', { message: 'to capture packets takes CAP_NET_RAW on the host' });
  }
  startTap(session, capture, (header, payload) => capture.add(header, payload));
}

/** What a guest sends and receives, until its VM is gone. @throws SystemError EPERM */
function tapGuest(session: Session, domain: Domain, capture: Capture): void {
  if (!mayCapture(session.caller)) {
    throw new SystemError('EPERM', { message: 'to capture packets takes CAP_NET_RAW' });
  }
  const { keeper } = session.shared;
  // It may just have been given its CID.
  keeper.digest();
  const { guest } = domain;
  startTap(session, capture, (header, payload, channel) => {
    if (passes(guest, header, channel)) capture.add(header, payload);
  });
  const stopWatching = keeper.onChange(() => {
    if (keeper.world.peek(domain.vm.name) !== domain) capture.end();
  });
  capture.onEnd(stopWatching);
}

/** By its own device or its loopback; or from a sibling, by the sibling's device. */
function passes(guest: Guest, header: Uint8Array, channel: Channel): boolean {
  const { port, loopback } = guest;
  if (channel === loopback || channel === port?.up || channel === port?.down) return true;
  return guest.cid !== undefined && decodeHeader(header).dstCid === guest.cid;
}

function mayCapture({ capabilities }: Caller): boolean {
  return capabilities === 'all' || capabilities.has('CAP_NET_RAW');
}

function startTap(session: Session, capture: Capture, tap: Tap): void {
  capture.onEnd(session.shared.keeper.world.network.switch.addTap(tap));
}

/** Time that does not go back during a capture, in microseconds since 1970. */
function microseconds(): () => number {
  const startMs = Date.now() - performance.now();
  return () => Math.floor((startMs + performance.now()) * 1000);
}
