// Checks the manual pages: mandoc's own findings, flags and exit statuses against the program, sections, prose.
// `node scripts/check-man.mjs [DIRECTORY]`; the directory is man/ unless given.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

process.chdir(new URL('..', import.meta.url).pathname);

const directory = process.argv[2] ?? 'man';
const SECTIONS = ['EXIT STATUS', 'EXAMPLES', 'SEE ALSO', 'HISTORY', 'AUTHORS'];
/** Pages of commands that have none of their own or of their family. */
const PAGES = {
  help: 'vmmctl',
  resume: 'vmmctl-suspend',
  reset: 'vmmctl-suspend',
  poweroff: 'vmmctl-suspend',
};
/** A command of its own, though it is written as a flag. */
const NOT_A_FLAG = ['version'];

const problems = [];
const pages = readPages();
const { commands, globalFlags, statuses } = await readProgram();

checkLint();
checkPackage();
for (const page of pages) checkPage(page);
for (const page of pages) checkDisplays(page);
for (const [id, command] of Object.entries(commands)) checkCommand(id, command);
for (const page of pages) checkFlags(page);
checkStatuses();

for (const problem of problems) console.error(problem);
console.error(`${pages.length} manual pages, ${problems.length} problems`);
process.exit(problems.length > 0 ? 1 : 0);

function readPages() {
  return readdirSync(directory)
    .filter((file) => /\.\d$/.test(file))
    .sort()
    .map((file) => ({
      file,
      name: file.replace(/\.\d$/, ''),
      lines: readFileSync(join(directory, file), 'utf8').split('\n'),
      flags: file === 'vmmctl.1' ? flagsOf(undefined) : new Map(),
      ofCommand: file === 'vmmctl.1',
    }));
}

/** The tables of the program, from a bundle that is made for this purpose. */
async function readProgram() {
  const place = join('node_modules', '.cache', `vmmctl-check-${process.pid}`);
  const contents = `
    import { loaders, HIDDEN } from './src/commands/index.ts';
    import { GLOBAL_FLAGS } from './src/cli/flags.ts';
    import { STATUS, STATUS_CODES } from './src/cli/errors.ts';
    export { GLOBAL_FLAGS, HIDDEN, loaders, STATUS, STATUS_CODES };`;
  mkdirSync(place, { recursive: true });
  try {
    const outfile = join(place, 'tables.mjs');
    const stdin = { contents, resolveDir: process.cwd(), loader: 'ts' };
    const define = { __VMMCTL_VERSION__: '""' };
    const common = { bundle: true, platform: 'node', format: 'esm', packages: 'external' };
    await build({ ...common, stdin, outfile, define, logLevel: 'warning' });
    const program = await import(pathToFileURL(outfile).href);
    const commands = {};
    for (const [id, load] of Object.entries(program.loaders)) {
      if (!program.HIDDEN.includes(id)) commands[id] = (await load()).default;
    }
    const statuses = Object.values(program.STATUS).map((status) => ({
      title: status === program.STATUS.signal ? `${status}+N` : String(status),
      codes: [],
    }));
    for (const [title, codes] of Object.entries(program.STATUS_CODES)) {
      statuses.push({ title, codes });
    }
    return { commands, globalFlags: program.GLOBAL_FLAGS, statuses };
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

function checkLint() {
  // In the directory, since references to pages beside a page are looked up in the working directory.
  const args = ['-T', 'lint', '-W', 'style', ...pages.map(({ file }) => file)];
  const { error, stdout } = spawnSync('mandoc', args, { cwd: directory, encoding: 'utf8' });
  if (error?.code === 'ENOENT') {
    const sentence = 'mandoc is not installed: the manual pages are not checked by its lint';
    if (process.env.CI) problems.push(sentence);
    else console.error(sentence);
    return;
  }
  if (error) throw error;
  const findings = stdout.split('\n').filter((line) => line !== '');
  // Which other manuals a machine has is no property of ours.
  problems.push(
    ...findings.filter((line) => !/referenced manual not found: Xr (?!vmmctl)/.test(line)),
  );
}

/** Lines to be typed are shown as they are written: mdoc takes brackets and dots that stand alone for punctuation. */
function checkDisplays({ file, lines }) {
  const args = ['-T', 'ascii', '-O', 'width=400', file];
  const { error, stdout } = spawnSync('mandoc', args, { cwd: directory, encoding: 'utf8' });
  // checkLint tells.
  if (error) return;
  // Bold is printed as a letter, a backspace and the letter.
  const shown = stdout.split(/.\u0008/).join('');
  lines.forEach((line, i) => {
    if (!line.startsWith('.Dl ')) return;
    const plain = line.slice(4).replaceAll('\\(dq', '"').replaceAll('\\-', '-');
    const text = plain.replaceAll('\\&', '').replaceAll('\\e', '\\');
    if (!shown.includes(` ${text}\n`)) problems.push(`${file}:${i + 1}: is not shown as: ${text}`);
  });
}

/** npm installs what package.json lists. */
function checkPackage() {
  const { man = [] } = JSON.parse(readFileSync('package.json', 'utf8'));
  const listed = man.map((path) => path.replace(/^(\.\/)?man\//, ''));
  const files = pages.map(({ file }) => file);
  for (const file of files.filter((name) => !listed.includes(name))) {
    problems.push(`package.json: man does not list ${file}`);
  }
  for (const file of listed.filter((name) => !files.includes(name))) {
    problems.push(`package.json: man lists ${file}, which is not there`);
  }
}

/** What mandoc does not look at: sections that we want, blanks, words that stand twice. */
function checkPage({ file, lines }) {
  for (const section of SECTIONS) {
    if (!lines.includes(`.Sh ${section}`)) problems.push(`${file}: no section ${section}`);
  }
  let literal = false;
  let last = '';
  lines.forEach((line, i) => {
    const at = `${file}:${i + 1}`;
    if (line.startsWith('.Bd -literal')) literal = true;
    if (line.startsWith('.Ed')) literal = false;
    if (/\s$/.test(line)) problems.push(`${at}: a blank at the end of the line`);
    if (line === '' && i < lines.length - 1) problems.push(`${at}: an empty line`);
    if (literal || line.startsWith('.Dl')) return;
    if (/\S {2,}\S/.test(line)) problems.push(`${at}: two blanks`);
    for (const word of line.startsWith('.') ? [''] : line.split(' ')) {
      if (word.toLowerCase() === last && /^[a-z]+$/i.test(word))
        problems.push(`${at}: '${word} ${word}'`);
      last = word.toLowerCase();
    }
  });
}

/** The page of a command, or of the nearest family that has one. */
function pageOf(id) {
  const words = id.split(':');
  const families = words.map((_, i) => ['vmmctl', ...words.slice(0, words.length - i)].join('-'));
  const names = [PAGES[id], ...families];
  const found = names.map((each) => pages.find(({ file }) => file === `${each}.1`));
  return found.find((page) => page !== undefined);
}

function flagsOf(command) {
  return new Map(Object.entries(command?.flags ?? {}).filter(([, flag]) => !flag.hidden));
}

function checkCommand(id, command) {
  const words = id.replaceAll(':', ' ');
  const overview = pages.find(({ file }) => file === 'vmmctl.1');
  const items = overview.lines.filter((line) => line.startsWith('.It Cm'));
  if (
    !items.some((line) =>
      line
        .slice(6)
        .split(/ , | Op /)
        .map((each) => each.trim())
        .includes(words),
    )
  ) {
    problems.push(`vmmctl.1: the list of commands has no '${words}'`);
  }
  const page = pageOf(id);
  if (!page) {
    problems.push(`no page for 'vmmctl ${words}'`);
    return;
  }
  page.ofCommand = true;
  for (const [name, flag] of flagsOf(command)) page.flags.set(name, flag);
}

/** Each flag has an item `.It Fl c , Fl Fl name`, and each such item is a flag. */
function checkFlags(page) {
  const { file, name, lines, flags, ofCommand } = page;
  if (!ofCommand) return;
  if (name === 'vmmctl')
    for (const [key, flag] of Object.entries(globalFlags)) flags.set(key, flag);
  const items = lines.filter((line) => line.startsWith('.It Fl '));
  const found = new Map(
    items.map((line) => [
      /Fl Fl ([a-z-]+)/.exec(line)?.[1] ?? line,
      /Fl ([A-Za-z]) ,/.exec(line)?.[1],
    ]),
  );
  for (const [key, flag] of flags) {
    if (!found.has(key)) problems.push(`${file}: no item for --${key}`);
    else if (found.get(key) !== flag.char)
      problems.push(`${file}: the letter of --${key} is wrong`);
  }
  for (const key of found.keys()) {
    const known = flags.has(key) || (name === 'vmmctl' && NOT_A_FLAG.includes(key));
    if (!known) problems.push(`${file}: '${key}' is no flag of the program`);
  }
}

/** vmmctl.1 has an item for each exit status, with the names of the errors that give it. */
function checkStatuses() {
  const text = pages.find(({ file }) => file === 'vmmctl.1')?.lines.join('\n') ?? '';
  const section = text.split('\n.Sh ').find((part) => part.startsWith('EXIT STATUS')) ?? '';
  const items = new Map(section.split('\n.It ').map((item) => [item.split('\n')[0] ?? '', item]));
  for (const { title, codes } of statuses) {
    const item = items.get(title);
    if (item === undefined) problems.push(`vmmctl.1: no exit status ${title}`);
    for (const code of codes) {
      if (item && !item.includes(code))
        problems.push(`vmmctl.1: exit status ${title} lacks ${code}`);
    }
  }
  const known = statuses.map(({ title }) => title);
  for (const title of items.keys()) {
    if (/^\d/.test(title) && !known.includes(title)) {
      problems.push(`vmmctl.1: exit status ${title} is none of the program`);
    }
  }
}
