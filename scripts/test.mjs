// Runs the tests and ends with their count. Words on the command line choose files: `npm test -- vsock`. Those that
// boot a kernel (test/lab) are run with --lab, and in CI after all others.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

process.chdir(new URL('..', import.meta.url).pathname);
// Reading it slows every start of Node 20, and tests start many.
delete process.env.NODE_EXTRA_CA_CERTS;

const RESULTS = 'build/results.tap';
const LAB = 'lab/';

function run(program, ...args) {
  const { status } = spawnSync(program, args, { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

/** tap is built for its list of plugins once, which takes seconds. */
function buildTap() {
  const stamp = 'node_modules/.cache/vmmctl-tap';
  const wanted = readFileSync('.taprc', 'utf8');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  run('npx', 'tap', 'build');
  mkdirSync('node_modules/.cache', { recursive: true });
  writeFileSync(stamp, wanted);
}

function testFiles(words, lab) {
  const names = readdirSync('build/test', { recursive: true }).filter((name) =>
    name.endsWith('.test.js'),
  );
  return names
    .filter((name) => name.startsWith(LAB) === lab)
    .filter((name) => words.length === 0 || words.some((word) => name.includes(word)))
    .map((name) => join('build/test', name))
    .sort();
}

/** The last counts of a TAP stream: a comment `{ total: N, pass: N, fail: N }`. */
function counts(tap) {
  const line = tap.split('\n').findLast((text) => text.startsWith('# {')) ?? '';
  const number = (name) => Number(new RegExp(`${name}: (\\d+)`).exec(line)?.[1] ?? 0);
  return { pass: number('pass'), fail: number('fail'), skip: number('skip') };
}

/** A line for each file, and whole what failed in it. */
function report(tap) {
  let failing = false;
  for (const line of tap.split('\n')) {
    const result = /^( *)(not )?ok \d+ - /.exec(line);
    if (result) failing = result[2] !== undefined;
    const ofFile = result?.[1] === '';
    // Rows of a table that a test prints have bars in them.
    const told = /^ *(#.*(SKIP| \| )|Bail out)/.test(line);
    if (failing || ofFile || told) console.log(line.trimEnd());
  }
}

/** Runs files and gives their counts. */
function runFiles(files, options) {
  rmSync(RESULTS, { force: true });
  // A live view is for people only.
  const reporter = process.stdout.isTTY ? 'terse' : 'silent';
  const all = [`--output-file=${RESULTS}`, `--reporter=${reporter}`, ...options, ...files];
  const { status } = spawnSync('npx', ['tap', ...all], { stdio: 'inherit' });
  const results = readFileSync(RESULTS, 'utf8');
  if (!process.stdout.isTTY) report(results);
  return { ...counts(results), status: status ?? 1 };
}

const PHASES = {
  usual: { lab: false, options: [] },
  // An emulated machine keeps a core busy.
  lab: { lab: true, options: ['--jobs=2', '--timeout=900'] },
};

const words = process.argv.slice(2).filter((word) => word !== '--lab');
const onlyLab = process.argv.includes('--lab');
const phases = onlyLab ? ['lab'] : process.env.CI ? ['usual', 'lab'] : ['usual'];

run('node', 'scripts/build.mjs', '--tests');
buildTap();
const total = { pass: 0, fail: 0, skip: 0, status: 0 };
for (const { lab, options } of phases.map((name) => PHASES[name])) {
  const files = testFiles(words, lab);
  if (files.length === 0) continue;
  const { pass, fail, skip, status } = runFiles(files, options);
  total.pass += pass;
  total.fail += fail;
  total.skip += skip;
  total.status ||= status;
}
const skipped = total.skip > 0 ? `, ${total.skip} skipped` : '';
console.log(`${total.pass} passed, ${total.fail} failed${skipped}`);
process.exit(total.status);
