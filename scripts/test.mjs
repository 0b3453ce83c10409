// Runs the tests and ends with their count. Words on the command line choose files: `npm test -- vsock`.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

process.chdir(new URL('..', import.meta.url).pathname);
// Reading it slows every start of Node 20, and tests start many.
delete process.env.NODE_EXTRA_CA_CERTS;

const RESULTS = 'build/results.tap';

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

function testFiles(words) {
  const names = readdirSync('build/test', { recursive: true }).filter((name) =>
    name.endsWith('.test.js'),
  );
  return names
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
    if (failing || ofFile || /^ *(#.*SKIP|Bail out)/.test(line)) console.log(line);
  }
}

run('node', 'scripts/build.mjs', '--tests');
buildTap();
rmSync(RESULTS, { force: true });
const files = testFiles(process.argv.slice(2));
// A live view is for people only.
const reporter = process.stdout.isTTY ? 'terse' : 'silent';
const options = [`--output-file=${RESULTS}`, `--reporter=${reporter}`];
const { status } = spawnSync('npx', ['tap', ...options, ...files], { stdio: 'inherit' });
const results = readFileSync(RESULTS, 'utf8');
if (!process.stdout.isTTY) report(results);
const { pass, fail, skip } = counts(results);
console.log(`${pass} passed, ${fail} failed${skip > 0 ? `, ${skip} skipped` : ''}`);
process.exit(status ?? 1);
