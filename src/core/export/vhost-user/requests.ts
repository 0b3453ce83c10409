/** The requests of a front-end: what each must look like, and what is done. Source: QEMU docs/interop/vhost-user.rst. */

import { fromBytes, toBytes, u64 } from '../../abi/layout.js';
import * as v from '../../abi/vhost-user.js';
import type { Message } from './connection.js';
import { LOG_ALL, PROTOCOL_FEATURES, Refusal, Violation } from './features.js';
import { LOG_REQUESTS } from './log-requests.js';
import { MEMORY_REQUESTS } from './memory-requests.js';
import type { Request, Requests } from './request.js';
import { RING_REQUESTS } from './ring-requests.js';
import type { Session } from './session.js';
import { MemoryError } from './shared-files.js';

const NOTHING = new Uint8Array(0);

const REQUESTS: Requests = {
  ...LOG_REQUESTS,
  ...MEMORY_REQUESTS,
  ...RING_REQUESTS,

  [v.VHOST_USER_GET_FEATURES]: {
    name: 'GET_FEATURES',
    size: 0,
    run: (session) => toBytes(u64, session.offered),
  },
  [v.VHOST_USER_SET_FEATURES]: {
    name: 'SET_FEATURES',
    size: u64.size,
    run(session, { payload }) {
      const features = subset(fromBytes(u64, payload), session.offered);
      const running = session.vrings.some(({ queue }) => queue !== undefined);
      // A migration begins and ends while the guest goes on.
      if (running && ((features ^ session.features) & ~LOG_ALL) !== 0n) {
        throw new Violation('features change while rings run');
      }
      session.features = features;
      session.log.enable((features & LOG_ALL) !== 0n);
      return undefined;
    },
  },
  [v.VHOST_USER_SET_OWNER]: { name: 'SET_OWNER', size: 0, run: () => undefined },
  [v.VHOST_USER_RESET_OWNER]: { name: 'RESET_OWNER', size: 0, run: stopAll },
  [v.VHOST_USER_RESET_DEVICE]: {
    name: 'RESET_DEVICE',
    size: 0,
    needs: v.VHOST_USER_PROTOCOL_F_RESET_DEVICE,
    run: stopAll,
  },
  [v.VHOST_USER_GET_PROTOCOL_FEATURES]: {
    name: 'GET_PROTOCOL_FEATURES',
    size: 0,
    run: () => toBytes(u64, PROTOCOL_FEATURES),
  },
  [v.VHOST_USER_SET_PROTOCOL_FEATURES]: {
    name: 'SET_PROTOCOL_FEATURES',
    size: u64.size,
    run(session, { payload }) {
      session.protocolFeatures = subset(fromBytes(u64, payload), PROTOCOL_FEATURES);
      return undefined;
    },
  },
  [v.VHOST_USER_GET_QUEUE_NUM]: {
    name: 'GET_QUEUE_NUM',
    size: 0,
    needs: v.VHOST_USER_PROTOCOL_F_MQ,
    run: ({ device }) => toBytes(u64, BigInt(device.queueCount)),
  },
  [v.VHOST_USER_SET_BACKEND_REQ_FD]: {
    name: 'SET_BACKEND_REQ_FD',
    size: 0,
    fds: 1,
    needs: v.VHOST_USER_PROTOCOL_F_BACKEND_REQ,
    run(session, { fds }) {
      const fd = fds.shift();
      if (fd === undefined) throw new Violation('SET_BACKEND_REQ_FD without a descriptor');
      session.setChannel(fd);
      return undefined;
    },
  },

  [v.VHOST_USER_GET_CONFIG]: {
    name: 'GET_CONFIG',
    atLeast: v.vhost_user_config_head.size,
    needs: v.VHOST_USER_PROTOCOL_F_CONFIG,
    run(session, { payload }) {
      const { offset, size, flags } = configHead(payload);
      const config = session.device.config();
      // An answer without a payload is the refusal.
      if (offset + size > config.length) return NOTHING;
      const head = v.vhost_user_config_head.encode({ offset, size, flags });
      const answer = new Uint8Array(head.length + size);
      answer.set(head);
      answer.set(config.subarray(offset, offset + size), head.length);
      return answer;
    },
  },
  [v.VHOST_USER_SET_CONFIG]: {
    name: 'SET_CONFIG',
    atLeast: v.vhost_user_config_head.size,
    needs: v.VHOST_USER_PROTOCOL_F_CONFIG,
    run(session, { payload }) {
      const { offset, size } = configHead(payload);
      if (offset + size > session.device.config().length) {
        throw new Refusal(`no ${size} bytes of configuration at ${offset}`);
      }
      const head = v.vhost_user_config_head.size;
      session.device.writeConfig(offset, payload.slice(head, head + size));
      return undefined;
    },
  },
};

/**
 * Does what a message asks for.
 * @returns the payload of the answer; undefined when there is none. @throws Violation when the session must end
 */
export function handleRequest(session: Session, message: Message): Uint8Array | undefined {
  const row = REQUESTS[message.request];
  // The request that agrees to answers may ask for one itself: user-mode Linux waits for it.
  const acknowledged = () => message.needReply && session.has(v.VHOST_USER_PROTOCOL_F_REPLY_ACK);
  try {
    if (row === undefined) throw new Refusal('this request is not known here');
    checkShape(session, row, message);
    return row.run(session, message) ?? (acknowledged() ? toBytes(u64, 0n) : undefined);
  } catch (error) {
    const name = row?.name ?? `request ${message.request}`;
    if (error instanceof Violation) throw new Violation(`${name}: ${error.message}`);
    if (!(error instanceof Refusal || error instanceof MemoryError)) throw error;
    // A front-end that is not told would go on as if it were done.
    if (!acknowledged() && row !== undefined) throw new Violation(`${name}: ${error.message}`);
    session.refuse(`${name}: ${error.message}`);
    return acknowledged() ? toBytes(u64, 1n) : undefined;
  }
}

/** @throws Violation, Refusal */
function checkShape(session: Session, row: Request, { payload, fds }: Message): void {
  const size = payload.length;
  const wrong = row.size === undefined ? size < (row.atLeast ?? 0) : size !== row.size;
  if (wrong) throw new Violation(`${size} bytes`);
  if (fds.length > (row.fds ?? 0)) throw new Violation(`${fds.length} descriptors`);
  if (row.needs !== undefined && !session.has(row.needs)) {
    throw new Violation(`protocol feature ${row.needs} was not agreed to`);
  }
}

/** @throws Violation for bits that were not offered */
function subset(asked: bigint, offered: bigint): bigint {
  const unknown = asked & ~offered;
  if (unknown !== 0n) throw new Violation(`0x${unknown.toString(16)} was not offered`);
  return asked;
}

function stopAll(session: Session): undefined {
  for (const vring of session.vrings) {
    vring.started = false;
    vring.enabled = false;
    session.update(vring);
  }
}

/** @throws Violation when there are not as many bytes as it says */
function configHead(payload: Uint8Array): { offset: number; size: number; flags: number } {
  const head = v.vhost_user_config_head.decode(payload);
  const there = payload.length - v.vhost_user_config_head.size;
  if (head.size !== there || head.size > v.VHOST_USER_CONFIG_MAX) {
    throw new Violation(`${head.size} bytes of configuration in ${there}`);
  }
  return head;
}
