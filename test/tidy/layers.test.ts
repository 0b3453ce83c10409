/**
 * Holds the shape of the house: who may import whom, what the pure layers may not touch, and that no imports run
 * in a circle. The table is that of ARCHITECTURE.md.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import t from 'tap';

interface Import {
  from: string;
  to: string;
  typeOnly: boolean;
}

/** What each layer may import besides itself; `types:` allows only types. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  'core/abi': [],
  'core/simulator': ['core/abi'],
  'core/native': [],
  'core/client': ['core/abi', 'types:core/backend'],
  'core/relay': ['core/abi', 'core/client', 'types:core/backend'],
  'core/backend': ['core/abi', 'core/native', 'protocol'],
  'core/daemon': [
    'core/abi',
    'core/simulator',
    'core/native',
    'core/export',
    'types:core/backend',
    'version',
  ],
  'core/export': ['core/abi', 'core/simulator', 'core/native', 'core/daemon'],
  cli: ['types:core/backend', 'version'],
  commands: ['cli', 'core/abi', 'core/client', 'core/relay', 'core/backend', 'version'],
  main: ['cli', 'commands', 'core/backend', 'core/native', 'version'],
  version: [],
};

/** The daemon's protocol: what the backend shares with the daemon. */
const PROTOCOL = [
  'core/daemon/wire.ts',
  'core/daemon/messages.ts',
  'core/daemon/paths.ts',
  'core/daemon/inherited.ts',
  'core/daemon/lock.ts',
];

/** Packages that only one place may import. */
const PACKAGES: Readonly<Record<string, RegExp>> = {
  koffi: /^core\/native\//,
  chalk: /^cli\//,
  ora: /^cli\//,
  'cli-table3': /^cli\//,
  '@oclif/core': /^cli\//,
};

const IMPURE = [
  /from 'node:/,
  /\bDate\.now\b/,
  /\bnew Date\b/,
  /\bMath\.random\b/,
  /\bset(Timeout|Interval|Immediate)\b/,
  /\bprocess\./,
  /\bawait\b/,
  /\bconsole\./,
  /\bperformance\b/,
  /\bBuffer\b/,
];

const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.ts'),
);
const texts = new Map(files.map((file) => [file, readFileSync(join('src', file), 'utf8')]));

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
}

const STATIC_IMPORT = /^\s*(import|export)\s+(type\s+)?([^;'"]*?)\s*from\s+'([^']+)'/gm;
const DYNAMIC_IMPORT = /\bimport\('([^']+)'\)/g;

function importsOf(file: string): Import[] {
  const text = withoutComments(texts.get(file) ?? '');
  const found: Import[] = [];
  for (const [, , type, names = '', to = ''] of text.matchAll(STATIC_IMPORT)) {
    const inner = names.replace(/^[^{]*\{|\}.*$/gs, '').split(',');
    const allTypes = names.includes('{') && inner.every((name) => /^\s*(type\s|$)/.test(name));
    found.push({ from: file, to, typeOnly: type !== undefined || allTypes });
  }
  for (const [, to = ''] of text.matchAll(DYNAMIC_IMPORT)) {
    found.push({ from: file, to, typeOnly: false });
  }
  return found;
}

/** The file that a relative import means. */
function target({ from, to }: Import): string {
  return normalize(join(dirname(from), to)).replace(/\.js$/, '.ts');
}

function layerOf(file: string): string {
  const [first = '', second = ''] = file.split('/');
  return first === 'core' ? `core/${second}` : first.replace(/\.ts$/, '');
}

const all = files.flatMap(importsOf);
const own = all.filter(({ to }) => to.startsWith('.'));

t.test('each layer imports only what the table allows', async (t) => {
  for (const edge of own) {
    const file = target(edge);
    const [from, to] = [layerOf(edge.from), layerOf(file)];
    if (from === to) continue;
    const allowed = ALLOWED[from] ?? [];
    const fine =
      allowed.includes(to) ||
      (edge.typeOnly && allowed.includes(`types:${to}`)) ||
      (allowed.includes('protocol') && PROTOCOL.includes(file));
    if (!fine) t.fail(`${edge.from} must not import ${file}`);
  }
  t.ok(own.length > 50, 'there are imports to look at');
});

t.test('the pure layers touch no time, chance, or I/O', async (t) => {
  for (const [file, text] of texts) {
    if (!/^core\/(simulator|abi)\//.test(file)) continue;
    const code = withoutComments(text);
    for (const pattern of IMPURE) t.notMatch(code, pattern, `${file} has no ${pattern.source}`);
  }
});

t.test('packages are imported only where they belong', async (t) => {
  for (const { from, to } of all) {
    const place = PACKAGES[to];
    if (place !== undefined) t.match(from, place, `${to} in ${from}`);
  }
});

t.test(
  'what a hot command loads does not load oclif, chalk, ora, cli-table3 or execa',
  async (t) => {
    const seen = new Set<string>();
    const visit = (file: string): void => {
      if (seen.has(file)) return;
      seen.add(file);
      const text = withoutComments(texts.get(file) ?? '');
      for (const [, , type, , to = ''] of text.matchAll(STATIC_IMPORT)) {
        if (type !== undefined) continue;
        if (to.startsWith('.')) visit(target({ from: file, to, typeOnly: false }));
        else t.notMatch(to, /^(@oclif|chalk|ora|cli-table3|execa)/, `${file} imports ${to}`);
      }
    };
    visit('main.ts');
    visit('commands/list.ts');
    visit('commands/vsock/connect.ts');
    visit('core/backend/simulator/backend.ts');
  },
);

t.test('no imports run in a circle', async (t) => {
  const edges = new Map<string, string[]>();
  for (const edge of own) {
    if (edge.typeOnly) continue;
    edges.set(edge.from, [...(edges.get(edge.from) ?? []), target(edge)]);
  }
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) {
      t.fail(`a circle: ${[...path.slice(path.indexOf(file)), file].join(' > ')}`);
      return;
    }
    if (done.has(file)) return;
    for (const next of edges.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  t.ok(done.size > 0);
});

t.test('no leftovers, and every exported function or class says what it is', async (t) => {
  for (const [file, text] of texts) {
    t.notMatch(text, /\b(FIXME|TODO|debugger;)|\.only\(/, `${file} has no leftovers`);
    t.match(text, /^(#!.*\n)?\/\*\*|^\/\//, `${file} begins with what it is`);
  }
});
