/** Words of programs that are more than a number: sets of CPUs, and bytes. */
import { VM_EXIT_UNION_SIZE } from '../../abi/vmm-exit.js';
import { MAX_MAXCPU } from './config.js';
import type { Words } from './words.js';

const RANGE = /^(\d{1,4})(?:-(\d{1,4}))?$/;
const HEX = /^(?:[0-9a-f]{2})*$/i;

/** CPUs as a list with ranges, `0,63-65`, or `all`. */
export function cpuList(words: Words): ReadonlySet<number> {
  const word = words.word('CPUS');
  const cpus = new Set<number>();
  for (const part of word === 'all' ? [`0-${MAX_MAXCPU - 1}`] : word.split(',')) {
    const [, from = '', to = from] = RANGE.exec(part) ?? words.fail(`${part} is no CPU, or range`);
    if (Number(to) >= MAX_MAXCPU || Number(from) > Number(to)) {
      words.fail(`${part} is no range of CPUs below ${MAX_MAXCPU}`);
    }
    for (let cpu = Number(from); cpu <= Number(to); cpu++) cpus.add(cpu);
  }
  return cpus;
}

/** Bytes of the union of struct vm_exit, two hexadecimal digits each. */
export function hexBytes(words: Words): Uint8Array {
  const word = words.word('HEX');
  if (!HEX.test(word) || word.length > VM_EXIT_UNION_SIZE * 2) {
    words.fail(`HEX is up to ${VM_EXIT_UNION_SIZE} bytes, two digits each`);
  }
  return Uint8Array.from(word.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16));
}
