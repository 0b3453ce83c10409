/**
 * What a simulated vCPU executes: text, a statement a line. Words are separated by blanks; `#` begins a comment. Numbers are
 * decimal, or hexadecimal with `0x`.
 *
 *   out PORT BYTES [VALUE]      INOUT; without VALUE the register RAX as it is, which the caller of VM_RUN may have set
 *   in PORT BYTES [VALUE]       INOUT; VALUE is what the register has before
 *   outs, ins PORT BYTES [COUNT]  INOUT_STR; with COUNT repeated
 *   mmio read|write GPA BYTES [VALUE]  INST_EMUL, with the bytes of a `mov`
 *   paging GPA read|write|execute      PAGING
 *   rdmsr CODE; wrmsr CODE VALUE       RDMSR, WRMSR
 *   ipi MODE VECTOR CPUS        IPI; MODE is fixed, lowest, smi, nmi, init or startup, CPUS a list like 0,63-65 or all
 *   task_switch SELECTOR call|iret|jmp|gate; spinup_ap VCPU RIP; eoi VECTOR; vmx REASON [QUALIFICATION];
 *   svm CODE [INFO1 [INFO2]]    the exits of these names
 *   hlt, mtrap, pause, bpt, db, monitor, mwait, vminsn, rendezvous, bogus, reqidle, debug  the exits of these names
 *   exit CODE [LENGTH [HEX]]    any exit: its number, the bytes of its instruction, the bytes of the union
 *   wait [nmi]                  sleeps in the kernel, as a guest does that has nothing to do, until an interrupt or an NMI;
 *                               with `nmi` interrupts are off: when all active vCPUs sleep so, the VM is suspended (halt)
 *   spin                        runs for ever without an exit
 *   suspend reset|poweroff|halt|triplefault  suspends the VM; VM_RUN gives SUSPENDED when all active vCPUs know
 *   loop ... end                for ever
 *   repeat N ... end            N times
 *
 * After the last line the vCPU waits as with `wait nmi`. The same program gives the same exits, whoever runs it when.
 */
import { SystemError } from '../../abi/errno.js';
import { STATEMENTS } from './statements.js';
import type { Step } from './step.js';
import { Words } from './words.js';

/** Characters. */
export const MAX_PROGRAM_LENGTH = 64 * 1024;
export const MAX_PROGRAM_LINES = 4096;
/** Blocks in blocks. */
const MAX_DEPTH = 16;
const MAX_TIMES = 0xffffffff;

/** A line, or the beginning or the end of a block. Places are indices into the program. */
export type Instruction =
  | Step
  | { readonly kind: 'repeat'; readonly times: number; readonly after: number }
  | { readonly kind: 'end'; readonly to: number };

export interface Program {
  readonly instructions: readonly Instruction[];
  /** Where each instruction stands, and the end of the last one: bytes from the first one. */
  readonly offsets: readonly bigint[];
}

interface Block {
  readonly words: Words;
  readonly at: number;
  readonly times: number;
}

/**
 * Reads a program.
 * @throws SystemError E2BIG for more than MAX_PROGRAM_LENGTH characters or MAX_PROGRAM_LINES lines; EINVAL, with the number
 * of the line, for what is no statement.
 */
export function parseProgram(text: string): Program {
  if (text.length > MAX_PROGRAM_LENGTH) throw tooBig(`${MAX_PROGRAM_LENGTH} characters`);
  const lines = text.replace(/\n$/, '').split('\n');
  if (lines.length > MAX_PROGRAM_LINES) throw tooBig(`${MAX_PROGRAM_LINES} lines`);
  const instructions: Instruction[] = [];
  const blocks: Block[] = [];
  for (const [index, line] of lines.entries()) {
    const [content = ''] = line.split('#');
    const words = content.split(/\s+/).filter((word) => word !== '');
    if (words.length > 0) addLine(new Words(index + 1, words), instructions, blocks);
  }
  blocks.at(-1)?.words.fail('the block has no end');
  return { instructions, offsets: offsetsOf(instructions) };
}

function addLine(words: Words, instructions: Instruction[], blocks: Block[]): void {
  const name = words.word('a statement');
  const at = instructions.length;
  if (name === 'loop' || name === 'repeat') {
    const times = name === 'loop' ? Number.POSITIVE_INFINITY : words.int('N', MAX_TIMES);
    words.end(`${name}${name === 'loop' ? '' : ' N'}`);
    if (blocks.length === MAX_DEPTH) words.fail(`no more than ${MAX_DEPTH} blocks in each other`);
    blocks.push({ words, at, times });
    instructions.push({ kind: 'repeat', times, after: at });
  } else if (name === 'end') {
    words.end('end');
    const block = blocks.pop() ?? words.fail('there is no block to end');
    instructions[block.at] = { kind: 'repeat', times: block.times, after: at + 1 };
    instructions.push({ kind: 'end', to: block.at + 1 });
  } else {
    instructions.push(parseStatement(name, words));
  }
}

function parseStatement(name: string, words: Words): Step {
  const statement = Object.hasOwn(STATEMENTS, name) ? STATEMENTS[name] : undefined;
  if (statement === undefined) return words.fail(`${name} is no statement`);
  const step = statement.parse(words);
  words.end(`${name} ${statement.usage}`.trimEnd());
  return step;
}

/** Bytes of the jump at the end of a block. */
const JUMP = 2;
const LENGTHS = { repeat: 0, end: JUMP } as const;

function offsetsOf(instructions: readonly Instruction[]): bigint[] {
  const offsets = [0n];
  let at = 0;
  for (const each of instructions) {
    at += each.kind === 'repeat' || each.kind === 'end' ? LENGTHS[each.kind] : each.length;
    offsets.push(BigInt(at));
  }
  return offsets;
}

function tooBig(limit: string): SystemError {
  return new SystemError('E2BIG', { message: `a program has at most ${limit}` });
}
