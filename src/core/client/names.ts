/**
 * Names of VMs and context ids as the commands accept them. The ABI takes every name that the kernel takes;
 * what can't be told from something else on a command line is refused here, before anything is sent.
 */
import { encodeName, VM_MAX_NAMELEN } from '../abi/vmmctl.js';

/** Words that stand for something else where a VM's name may stand. */
const RESERVED = new Set([
  'host',
  'local',
  'any',
  'vsock',
  'vsock-listen',
  'unix',
  'unix-listen',
  'tcp',
  'tcp-listen',
  'exec',
  'file',
]);

/** Why a name is refused, or undefined when it is not. */
export function nameProblem(name: string): string | undefined {
  if (name === '') return 'the name is empty';
  const length = encodeName(name).length;
  if (length > VM_MAX_NAMELEN) {
    return `the name is ${length} bytes long, the most is ${VM_MAX_NAMELEN}`;
  }
  if (/[\s"\u0000-\u001f\u007f-\u009f]/.test(name)) {
    return `the name '${name}' has white space, a quote or a control character in it`;
  }
  if (name.includes(':')) return `the name '${name}' has a colon in it, as an address has`;
  if (name.startsWith('-')) return `the name '${name}' begins like a flag`;
  if (name.startsWith('/') || name.endsWith('/')) {
    return `the name '${name}' begins or ends with a slash`;
  }
  if (name.split('/').some((part) => part === '.' || part === '..' || part === '')) {
    return `the name '${name}' is not a plain path`;
  }
  if (/^\d+$/.test(name)) return `the name '${name}' reads as a CID`;
  if (RESERVED.has(name)) return `the name '${name}' means something else`;
  return undefined;
}
