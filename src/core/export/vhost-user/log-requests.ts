/** The requests of a front-end that wants to know which pages are written. Source: QEMU docs/interop/vhost-user.rst. */
import { toBytes, u64 } from '../../abi/layout.js';
import * as v from '../../abi/vhost-user.js';
import { Violation } from './features.js';
import type { Requests } from './request.js';
import { MemoryError } from './shared-files.js';

const WORD = 4;

export const LOG_REQUESTS: Requests = {
  [v.VHOST_USER_SET_LOG_BASE]: {
    name: 'SET_LOG_BASE',
    size: v.vhost_user_log.size,
    fds: 1,
    needs: v.VHOST_USER_PROTOCOL_F_LOG_SHMFD,
    run(session, { payload, fds: [fd] }) {
      const { mmap_size, mmap_offset } = v.vhost_user_log.decode(payload);
      if (fd === undefined) throw new Violation('SET_LOG_BASE without a descriptor');
      if (mmap_size + mmap_offset > BigInt(Number.MAX_SAFE_INTEGER)) {
        throw new MemoryError('a log out of range');
      }
      const [length, offset] = [Number(mmap_size), Number(mmap_offset)];
      if (offset % WORD !== 0) throw new MemoryError(`a log that begins at ${offset}`);
      if (length < WORD) throw new MemoryError(`a log of ${length} bytes`);
      session.log.use({ fd, offset, length });
      // Whoever sends it waits for an answer, agreed to or not.
      return toBytes(u64, 0n);
    },
  },
  [v.VHOST_USER_SET_LOG_FD]: {
    name: 'SET_LOG_FD',
    size: 0,
    fds: 1,
    run(session, { fds }) {
      const fd = fds.shift();
      if (fd === undefined) throw new Violation('SET_LOG_FD without a descriptor');
      session.log.setEvent(fd);
      return undefined;
    },
  },
};
