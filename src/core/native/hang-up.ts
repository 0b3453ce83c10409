/** Tells when the other end of a pipe or socket is gone, without reading or writing. Linux. */
import { loadKoffi } from './koffi.js';
import { loadLibc } from './libc.js';
import { EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_EVENT_SIZE } from './reactor.js';

/**
 * Resolves when nobody can read any more what is written to a descriptor; never where the system can't tell. It keeps
 * no process alive.
 * @throws NativeMissingError
 */
export async function hangUp(fd: number): Promise<void> {
  const [koffi, libc] = [await loadKoffi(), await loadLibc()];
  const epoll = libc.epollCreate(EPOLL_CLOEXEC);
  // An event that asks for nothing: EPOLLERR and EPOLLHUP come in any case, and room in a pipe wakes nobody.
  const event = new Uint8Array(EPOLL_EVENT_SIZE);
  const added = epoll < 0 ? epoll : libc.epollCtl(epoll, EPOLL_CTL_ADD, fd, event);
  await new Promise<void>((resolve) => {
    if (added < 0) return;
    // Not the descriptor itself: Node's event loop takes each but once, and may have it already.
    const handle = koffi.node.poll(epoll, { readable: true }, () => {
      handle.close();
      libc.close(epoll);
      resolve();
    });
    handle.unref();
  });
}
