/** The text of programs for vCPUs: what is taken, what is refused and how, and the bounds. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { isErrorCode, SystemError } from '../../../../src/core/abi/errno.js';
import { ROOT } from '../../../../src/core/simulator/node.js';
import {
  MAX_PROGRAM_LENGTH,
  MAX_PROGRAM_LINES,
  parseProgram,
} from '../../../../src/core/simulator/vmm/program.js';
import { MAX_INSTRUCTIONS } from '../../../../src/core/simulator/vmm/programs.js';
import { STATEMENTS } from '../../../../src/core/simulator/vmm/statements.js';
import { codeOf, vmmHost } from '../../../helpers/vmm.js';

/** What a text is refused with, or `ok`. */
function verdict(text: string): string {
  try {
    parseProgram(text);
  } catch (error) {
    if (error instanceof SystemError) return `${error.code} ${error.message}`;
    throw error;
  }
  return 'ok';
}

t.test('words, numbers, blanks and comments', async (t) => {
  const text = '# a program\n\n  out 0x3f8 1 0x41\t# A\nin 96 4\r\nhlt\n';
  const { instructions, offsets } = parseProgram(text);
  t.strictSame(
    instructions.map(({ kind }) => kind),
    ['exit', 'exit', 'exit'],
  );
  t.strictSame(offsets, [0n, 1n, 2n, 3n]);
  t.strictSame(parseProgram('').instructions, []);
});

t.test('each statement, with all that it takes', async (t) => {
  const lines: Record<string, string> = {
    out: 'out 0x3f8 1 0xff',
    in: 'in 0x60 2 0xffff',
    outs: 'outs 0x3f8 4 10',
    ins: 'ins 0x3f8 4 10',
    mmio: 'mmio write 0xfee00000 8 0xffffffffffffffff',
    paging: 'paging 0x1000 execute',
    rdmsr: 'rdmsr 0xc0000080',
    wrmsr: 'wrmsr 0xc0000080 0xffffffffffffffff',
    hlt: 'hlt',
    ipi: 'ipi startup 255 0,63-65,1023',
    bpt: 'bpt',
    db: 'db',
    eoi: 'eoi 255',
    spinup_ap: 'spinup_ap 1023 0xffffffffffffffff',
    task_switch: 'task_switch 0x28 gate',
    vmx: 'vmx 48 0x181',
    svm: 'svm 0x400 1 2',
    mtrap: 'mtrap',
    pause: 'pause',
    monitor: 'monitor',
    mwait: 'mwait',
    vminsn: 'vminsn',
    rendezvous: 'rendezvous',
    bogus: 'bogus',
    reqidle: 'reqidle',
    debug: 'debug',
    exit: `exit 2147483647 15 ${'ab'.repeat(120)}`,
    suspend: 'suspend poweroff',
    wait: 'wait nmi',
    spin: 'spin',
  };
  t.strictSame(Object.keys(lines).sort(), Object.keys(STATEMENTS).sort());
  for (const [name, line] of Object.entries(lines)) {
    t.equal(verdict(line), 'ok', line);
    t.match(verdict(`\n${line} more`), /^EINVAL line 2: .*is too much/, `${name} and no more`);
  }
});

t.test('what makes no sense is refused with the number of its line', async (t) => {
  const refused: Record<string, RegExp> = {
    'hlt\nfly': /^EINVAL line 2: fly is no statement$/,
    constructor: /line 1: constructor is no statement/,
    out: /line 1: PORT is missing/,
    'out 0x10000 1': /PORT is a number up to 65535/,
    'out 0x3f8 3': /BYTES is 1, 2, 4, not 3/,
    'out 0x3f8 1 256': /VALUE is a number up to 255/,
    'out -1 1': /PORT is a number/,
    'out 1e3 1': /PORT is a number/,
    'mmio poke 0 1': /the direction is read, write, not poke/,
    'mmio read 0x10000000000000 1': /GPA is a number up to/,
    'rdmsr 0x100000000': /CODE is a number/,
    'ipi quick 1 0': /MODE is fixed, lowest/,
    'ipi fixed 256 0': /VECTOR is a number up to 255/,
    'ipi fixed 1 1024': /1024 is no range of CPUs below 1024/,
    'ipi fixed 1 5-4': /5-4 is no range/,
    'ipi fixed 1 ,': /is no CPU, or range/,
    'exit 24 1 abc': /HEX is up to 120 bytes/,
    [`exit 24 1 ${'00'.repeat(121)}`]: /HEX is up to 120 bytes/,
    'suspend destroy': /the reason is reset, poweroff, halt, triplefault, not destroy/,
    'suspend hasOwnProperty': /the reason is/,
    'wait long': /what to wait for is nmi/,
    end: /line 1: there is no block to end/,
    'hlt\nloop\nhlt': /line 2: the block has no end/,
    'repeat\nend': /line 1: N is missing/,
    'repeat 4294967296\nend': /N is a number up to 4294967295/,
    ['loop\n'.repeat(17) + 'end\n'.repeat(17)]: /line 17: no more than 16 blocks/,
  };
  for (const [text, message] of Object.entries(refused)) t.match(verdict(text), message);
});

t.test('a program has bounds', async (t) => {
  t.equal(verdict('\n'.repeat(MAX_PROGRAM_LINES)), 'ok');
  t.match(verdict('\n'.repeat(MAX_PROGRAM_LINES + 1)), /^E2BIG a program has at most 4096 lines/);
  t.equal(verdict(`#${' '.repeat(MAX_PROGRAM_LENGTH - 1)}`), 'ok');
  t.match(verdict(`#${' '.repeat(MAX_PROGRAM_LENGTH)}`), /^E2BIG a program has at most 65536 char/);
});

t.test('the programs of a host have a bound together, and give back what they had', async (t) => {
  const vmm = vmmHost();
  const text = 'hlt\n'.repeat(MAX_PROGRAM_LINES - 1);
  const full = Math.floor(MAX_INSTRUCTIONS / (MAX_PROGRAM_LINES - 1));
  const vm = vmm.create('a', 'persistent', ROOT);
  for (let vcpu = 0; vcpu < full; vcpu++) vmm.setProgram(vm, vcpu, text);
  const set = (vcpu: number) => codeOf(() => vmm.setProgram(vm, vcpu, text));
  t.strictSame([set(full), set(0)], ['ENOMEM', 'ok'], 'one takes the place of another');
  vmm.setProgram(vm, 1, null);
  t.equal(set(full), 'ok');
  vmm.destroy(vm);
  const other = vmm.create('b', 'persistent', ROOT);
  for (let vcpu = 0; vcpu < full; vcpu++) vmm.setProgram(other, vcpu, text);
});

t.test('any text is a program, or refused', async () => {
  const word = fc.oneof(
    fc.constantFrom(...Object.keys(STATEMENTS), 'loop', 'repeat', 'end', '#', '__proto__'),
    fc.constantFrom('0', '1', '4', '0x3f8', 'read', 'nmi', '0-1023', 'fixed', 'ab', '-'),
    fc.string({ maxLength: 6 }),
  );
  const line = fc.array(word, { maxLength: 5 }).map((words) => words.join(' '));
  const text = fc.array(line, { maxLength: 8 }).map((lines) => lines.join('\n'));
  fc.assert(
    fc.property(text, (given) => {
      try {
        const { instructions, offsets } = parseProgram(given);
        assert.equal(offsets.length, instructions.length + 1);
      } catch (error) {
        if (!(error instanceof SystemError) || !isErrorCode(error.code)) throw error;
      }
    }),
    { numRuns: 3000 },
  );
});
