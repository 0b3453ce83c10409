/** The lines of a program that reach ports and memory: the exits that guests make most. */
import { vm_exitcode, vm_reg_name } from '../../abi/vmm-machine.js';
import { inoutExit, inoutStringExit, instEmulExit, lowBytes, movInstruction } from './exits.js';
import type { Registers } from './registers.js';
import type { Statement } from './step.js';

const PORT_BYTES = { 1: 1, 2: 2, 4: 4 } as const;
const MEMORY_BYTES = { 1: 1, 2: 2, 4: 4, 8: 8 } as const;
const DIRECTIONS = { read: false, write: true };
/** An address that fits the guest's physical memory. */
export const MAX_GPA = 2n ** 52n - 1n;

const { VM_REG_GUEST_RAX } = vm_reg_name;

/** Puts a value where `mov` to AL, AX, EAX or RAX puts it: the latter two clear or fill the rest. */
function loadRax(registers: Registers, value: bigint | undefined, bytes: number): void {
  if (value === undefined) return;
  const kept = bytes >= 4 ? 0n : registers.get(VM_REG_GUEST_RAX);
  registers.set(VM_REG_GUEST_RAX, kept - lowBytes(kept, bytes) + lowBytes(value, bytes));
}

function portStatement(isIn: boolean): Statement {
  return {
    usage: 'PORT BYTES [VALUE]',
    parse: (words) => {
      const port = words.int('PORT', 0xffff);
      const bytes = words.choice('BYTES', PORT_BYTES);
      const value = words.optional(
        () => words.long('VALUE', 2n ** BigInt(bytes * 8) - 1n),
        undefined,
      );
      const exit = inoutExit({ port, bytes, in: isIn });
      const u = (registers: Registers) => {
        loadRax(registers, value, bytes);
        return exit(registers);
      };
      return { kind: 'exit', code: vm_exitcode.VM_EXITCODE_INOUT, length: 1, u };
    },
  };
}

function stringStatement(isIn: boolean): Statement {
  return {
    usage: 'PORT BYTES [COUNT]',
    parse: (words) => {
      const port = words.int('PORT', 0xffff);
      const bytes = words.choice('BYTES', PORT_BYTES);
      const count = words.optional(() => words.long('COUNT'), undefined);
      const u = (registers: Registers) =>
        inoutStringExit({ port, bytes, in: isIn }, count, registers);
      const length = count === undefined ? 1 : 2;
      return { kind: 'exit', code: vm_exitcode.VM_EXITCODE_INOUT_STR, length, u };
    },
  };
}

const MMIO: Statement = {
  usage: 'read|write GPA BYTES [VALUE]',
  parse: (words) => {
    const write = words.choice('the direction', DIRECTIONS);
    const gpa = words.long('GPA', MAX_GPA);
    const bytes = words.choice('BYTES', MEMORY_BYTES);
    const value = words.optional(
      () => words.long('VALUE', 2n ** BigInt(bytes * 8) - 1n),
      undefined,
    );
    const access = { gpa, bytes, write };
    const u = (registers: Registers) => {
      loadRax(registers, value, bytes);
      return instEmulExit(access, registers);
    };
    const { length } = movInstruction(access);
    return { kind: 'exit', code: vm_exitcode.VM_EXITCODE_INST_EMUL, length, u };
  },
};

export const IO_STATEMENTS: Readonly<Record<string, Statement>> = {
  out: portStatement(false),
  in: portStatement(true),
  outs: stringStatement(false),
  ins: stringStatement(true),
  mmio: MMIO,
};
