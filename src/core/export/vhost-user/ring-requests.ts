/** The requests that set rings up, start and stop them. Source: QEMU docs/interop/vhost-user.rst. */
import { fromBytes, u64 } from '../../abi/layout.js';
import * as v from '../../abi/vhost-user.js';
import { VIRTQUEUE_SIZE_MAX } from '../../abi/virtio-ring.js';
import type { Message } from './connection.js';
import { Violation } from './features.js';
import type { Requests } from './request.js';
import type { Session } from './session.js';
import type { Vring } from './vring.js';

const STATE = v.vhost_user_vring_state;

export const RING_REQUESTS: Requests = {
  [v.VHOST_USER_SET_VRING_NUM]: {
    name: 'SET_VRING_NUM',
    size: STATE.size,
    run(session, { payload }) {
      const { index, num } = STATE.decode(payload);
      const vring = stoppedVring(session, index);
      if (num === 0 || num > VIRTQUEUE_SIZE_MAX || (num & (num - 1)) !== 0) {
        throw new Violation(`ring ${index} of ${num} entries`);
      }
      vring.num = num;
      return undefined;
    },
  },
  [v.VHOST_USER_SET_VRING_BASE]: {
    name: 'SET_VRING_BASE',
    size: STATE.size,
    run(session, { payload }) {
      const { index, num } = STATE.decode(payload);
      if (num > 0xffff) throw new Violation(`ring ${index} begins at ${num}`);
      stoppedVring(session, index).base = num;
      return undefined;
    },
  },
  [v.VHOST_USER_GET_VRING_BASE]: {
    name: 'GET_VRING_BASE',
    size: STATE.size,
    run(session, { payload }) {
      const { index } = STATE.decode(payload);
      const vring = vringAt(session, index);
      vring.started = false;
      session.update(vring);
      // Whoever stops a ring takes its descriptors back.
      vring.setKick(undefined, () => undefined);
      return STATE.encode({ index, num: vring.base });
    },
  },
  [v.VHOST_USER_SET_VRING_ADDR]: {
    name: 'SET_VRING_ADDR',
    size: v.vhost_user_vring_addr.size,
    run(session, { payload }) {
      const { index, flags, desc, avail, used, log } = v.vhost_user_vring_addr.decode(payload);
      const vring = vringAt(session, index);
      vring.logAddress = flags & (1 << v.VHOST_VRING_F_LOG) ? Number(log) : undefined;
      const { addresses } = vring;
      // A migration begins with the same ring, which goes on.
      const isSame =
        addresses?.desc === desc && addresses.avail === avail && addresses.used === used;
      if (isSame) return undefined;
      session.rearrange([vring], () => {
        vring.addresses = { desc, avail, used };
      });
      return undefined;
    },
  },
  [v.VHOST_USER_SET_VRING_KICK]: {
    name: 'SET_VRING_KICK',
    size: u64.size,
    fds: 1,
    run(session, message) {
      const { vring, fd } = vringDescriptor(session, message);
      if (fd === undefined && !session.has(v.VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS)) {
        throw new Violation('a ring without kicks: it would have to be polled');
      }
      const result = vring.setKick(fd, () => session.kicked(vring));
      if (result < 0) throw new Violation(`kicks can't be watched: errno ${-result}`);
      return undefined;
    },
  },
  [v.VHOST_USER_SET_VRING_CALL]: {
    name: 'SET_VRING_CALL',
    size: u64.size,
    fds: 1,
    run(session, message) {
      const { vring, fd } = vringDescriptor(session, message);
      vring.setCall(fd);
      return undefined;
    },
  },
  [v.VHOST_USER_SET_VRING_ERR]: {
    name: 'SET_VRING_ERR',
    size: u64.size,
    fds: 1,
    run(session, message) {
      const { vring, fd } = vringDescriptor(session, message);
      vring.setErr(fd);
      return undefined;
    },
  },
  [v.VHOST_USER_SET_VRING_ENABLE]: {
    name: 'SET_VRING_ENABLE',
    size: STATE.size,
    run(session, { payload }) {
      const { index, num } = STATE.decode(payload);
      const vring = vringAt(session, index);
      vring.enabled = num !== 0;
      session.update(vring);
      return undefined;
    },
  },
  [v.VHOST_USER_VRING_KICK]: {
    name: 'VRING_KICK',
    size: STATE.size,
    needs: v.VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS,
    run(session, { payload }) {
      const { index } = STATE.decode(payload);
      session.kickedInBand(vringAt(session, index));
      return undefined;
    },
  },
};

/** @throws Violation for a ring that the device has not */
function vringAt(session: Session, index: number): Vring {
  const vring = session.vrings[index];
  if (vring === undefined) throw new Violation(`there is no ring ${index}`);
  return vring;
}

/** A ring whose place may be set. One that was only disabled is started anew from there. @throws Violation */
function stoppedVring(session: Session, index: number): Vring {
  const vring = vringAt(session, index);
  if (vring.queue !== undefined) throw new Violation(`ring ${index} runs`);
  vring.started = false;
  return vring;
}

/** The ring and descriptor of a SET_VRING_KICK and its like; the descriptor is the caller's. @throws Violation */
function vringDescriptor(
  session: Session,
  { payload, fds }: Message,
): { vring: Vring; fd: number | undefined } {
  const word = fromBytes(u64, payload);
  const none = (word & BigInt(v.VHOST_USER_VRING_INVALID_FD_FLAG)) !== 0n;
  const vring = vringAt(session, Number(word & BigInt(v.VHOST_USER_VRING_INDEX_MASK)));
  if (none !== (fds.length === 0)) throw new Violation(`${fds.length} descriptors`);
  return { vring, fd: fds.shift() };
}
