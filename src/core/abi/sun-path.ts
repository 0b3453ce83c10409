/** The path of a Unix socket: `sun_path` of `struct sockaddr_un`, sys/un.h. */

/** Its size, bytes, with the terminator: 108 in Linux, 104 in the BSDs. @param platform as Node names it. */
export function sunPathSize(platform: string): number {
  return platform === 'linux' ? 108 : 104;
}
