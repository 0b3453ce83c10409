import fc from 'fast-check';
import t from 'tap';
import { fastParse, type Grammar, type RawInput } from '../../src/cli/fast-parse.js';
import { arg, args, flag, option, optionalArg, options } from '../../src/cli/flags.js';
import { grammarOf } from '../../src/cli/grammar.js';
import { parse } from '../../src/cli/oclif.js';

const same = (text: string) => text;
const GRAMMARS: Record<string, Grammar> = {
  'one argument': grammarOf({
    args: { name: arg({ summary: '' }) },
    flags: {
      label: options({ summary: '', char: 'l', convert: same }),
      size: option({ summary: '', char: 's' }),
      all: flag({ summary: '', char: 'a', exclusive: ['size'] }),
      mode: option({ summary: '', options: ['x', 'y'] }),
    },
  }),
  'any number of arguments': grammarOf({
    args: { name: args({ summary: '', convert: same }) },
    flags: { all: flag({ summary: '', char: 'a' }) },
  }),
  'one that must be and one that may be': grammarOf({
    args: { cid: arg({ summary: '' }), kind: optionalArg({ summary: '', options: ['x', 'y'] }) },
    flags: {},
  }),
  'some after one': grammarOf({
    args: { vm: arg({ summary: '' }), rest: args({ summary: '', required: true, convert: same }) },
    flags: { all: flag({ summary: '', char: 'a' }) },
  }),
};

const word = fc.constantFrom(
  ...['web1', 'x', 'y', 'z', '', '-', '--', '-1', 'a=b', 'list', '5'],
  ...['--json', '--json=x', '-q', '-v', '-qv', '-vq', '-qb', '-qbsim', '-h', '--help', '-q=1'],
  ...['--backend', '--backend=sim', '-b', '-bsim', '-b=sim', '-b=', '--backend=', '--in', '--in=w'],
  ...[
    '--label',
    '--label=a=b',
    '-l',
    '-lk=v',
    '-l=k=v',
    '--size',
    '--size=-5',
    '-s',
    '-s5',
    '-s-5',
  ],
  ...['--all', '-a', '-aq', '-as', '-as5', '--mode', '--mode=x', '--mode=q', '--mode=-'],
  ...['--foo', '--foo=1', '-z', '---', '--no-json', '--toString', '--__proto__', '-é'],
);

for (const [title, grammar] of Object.entries(GRAMMARS)) {
  t.test(`what the fast parser accepts, oclif reads alike: ${title}`, async (t) => {
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(word, { maxLength: 6 }), async (argv) => {
        const fast = fastParse(grammar, argv);
        if (fast === undefined) return;
        accepted += 1;
        const slow = await parse(grammar, [...argv]);
        t.same('input' in slow ? plain(slow.input) : slow.problem, plain(fast), argv.join(' '));
      }),
      { numRuns: 4000, seed: 7 },
    );
    t.ok(accepted > 50, `${accepted} lines were accepted`);
  });
}

t.test('ordinary lines are accepted', async (t) => {
  const grammar = GRAMMARS['one argument'];
  if (!grammar) throw new Error('no grammar');
  const lines: [string, RawInput][] = [
    ['web1', { flags: {}, args: { name: 'web1' } }],
    [
      'web1 --json -qv',
      { flags: { json: true, quiet: true, verbose: true }, args: { name: 'web1' } },
    ],
    ['--label a=b web1 -l c=d', { flags: { label: ['a=b', 'c=d'] }, args: { name: 'web1' } }],
    ['-bsim:x web1 --size=5', { flags: { backend: 'sim:x', size: '5' }, args: { name: 'web1' } }],
    ['--json -- -web1', { flags: { json: true }, args: { name: '-web1' } }],
  ];
  for (const [line, input] of lines) t.same(fastParse(grammar, line.split(' ')), input, line);
});

t.test('whatever is wrong or uncertain is left to oclif', async (t) => {
  const grammar = GRAMMARS['one argument'];
  if (!grammar) throw new Error('no grammar');
  const lines = ['', 'a b', 'a --foo', 'a -h', 'a --help', 'a --size', 'a --size -5', 'a --mode z'];
  const others = [
    'a --size 1 --size 2',
    'a --json=1',
    'a -q=1',
    'a --all --size 1',
    'a --toString',
  ];
  for (const line of [...lines, ...others]) {
    t.equal(fastParse(grammar, line.split(' ').filter(Boolean)), undefined, line);
  }
});

function plain(input: RawInput): unknown {
  return JSON.parse(JSON.stringify(input));
}
