/** Which VMs have sockets of their own name. */

/** Names that are a file's as they are. `cid-N` is what VMs with other names have. */
const PLAIN = /^(?!cid-\d+$)[A-Za-z0-9_][A-Za-z0-9._-]*$/;

export function isPlainName(name: string): boolean {
  return PLAIN.test(name);
}
