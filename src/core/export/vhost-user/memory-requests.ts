/** The requests that say where the guest's memory is. Source: QEMU docs/interop/vhost-user.rst. */
import { toBytes, u64 } from '../../abi/layout.js';
import * as v from '../../abi/vhost-user.js';
import { Refusal, Violation } from './features.js';
import { MAX_MEM_SLOTS, type RegionRequest } from './memory.js';
import type { Requests } from './request.js';
import type { Session } from './session.js';

const REGION = v.vhost_user_mem_region;

export const MEMORY_REQUESTS: Requests = {
  [v.VHOST_USER_SET_MEM_TABLE]: {
    name: 'SET_MEM_TABLE',
    atLeast: v.vhost_user_mem_table.size,
    fds: v.VHOST_USER_MEM_TABLE_MAX,
    run(session, { payload, fds }) {
      const { num } = v.vhost_user_mem_table.decode(payload);
      if (num !== fds.length) throw new Violation(`${num} regions with ${fds.length} descriptors`);
      const head = v.vhost_user_mem_table.size;
      // User-mode Linux sends as many as it could have, and says how many there are.
      if (payload.length < head + num * REGION.size) {
        throw new Violation(`${num} regions in ${payload.length} bytes`);
      }
      session.rearrange(session.vrings, () => {
        session.memory.clear();
        for (const [index, fd] of fds.entries()) {
          addRegion(session, payload.subarray(head + index * REGION.size), fd);
        }
      });
      return undefined;
    },
  },
  [v.VHOST_USER_GET_MAX_MEM_SLOTS]: {
    name: 'GET_MAX_MEM_SLOTS',
    size: 0,
    needs: v.VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS,
    run: () => toBytes(u64, BigInt(MAX_MEM_SLOTS)),
  },
  [v.VHOST_USER_ADD_MEM_REG]: {
    name: 'ADD_MEM_REG',
    size: v.vhost_user_single_mem_region.size,
    fds: 1,
    needs: v.VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS,
    run(session, { payload, fds: [fd] }) {
      if (fd === undefined) throw new Violation('ADD_MEM_REG without a descriptor');
      addRegion(session, payload.subarray(v.vhost_user_single_mem_region.offset('region')), fd);
      return undefined;
    },
  },
  [v.VHOST_USER_REM_MEM_REG]: {
    name: 'REM_MEM_REG',
    size: v.vhost_user_single_mem_region.size,
    // Some front-ends send the region's descriptor once more.
    fds: 1,
    needs: v.VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS,
    run(session, { payload }) {
      const region = payload.subarray(v.vhost_user_single_mem_region.offset('region'));
      session.rearrange(session.vrings, () => {
        if (!session.memory.remove(readRegion(region))) throw new Refusal('no such region');
      });
      return undefined;
    },
  },
};

function readRegion(payload: Uint8Array): RegionRequest {
  const { guest_addr, size, user_addr, mmap_offset } = REGION.decode(payload);
  return { guest: guest_addr, size, user: user_addr, offset: mmap_offset };
}

/** @throws MemoryError */
function addRegion(session: Session, payload: Uint8Array, fd: number): void {
  session.memory.add(readRegion(payload), fd);
}
