/** What the kernel tells a program at its start, /proc/self/auxv: pairs of words. Mirrors Linux linux/auxvec.h. */
import { struct, u64 } from './layout.js';

/** The size of a page of memory, bytes. */
export const AT_PAGESZ = 6;

/** Elf64_auxv_t of <elf.h>. */
export const auxv_t = struct('auxv_t', { a_type: u64, a_val: u64 });
