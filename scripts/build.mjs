// Builds what is run: dist/ holds one CommonJS file for each way of starting, so that a start reads few files.
// With --tests it also turns src/ and test/ into build/, file by file, for the test runner.
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';

const root = new URL('..', import.meta.url).pathname;
process.chdir(root);

const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
const common = {
  platform: 'node',
  target: 'node20',
  logLevel: 'warning',
  sourcemap: 'linked',
  define: { __VMMCTL_VERSION__: JSON.stringify(version) },
};

// Another bundle is required, not imported: that loads it only when it is reached, and without the module loader.
const otherBundles = {
  name: 'other-bundles',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^\.\/oclif\.js$/ }, ({ importer }) =>
      importer.endsWith('load-oclif.ts') ? { path: './oclif.cjs', namespace: 'bundle' } : null,
    );
    onResolve({ filter: /\.cjs$/, namespace: 'bundle' }, ({ path }) => ({ path, external: true }));
    onLoad({ filter: /.*/, namespace: 'bundle' }, ({ path }) => ({
      contents: `module.exports = require(${JSON.stringify(path)});`,
    }));
  },
};

/** Every TypeScript file below a directory. */
async function sources(directory) {
  const entries = await readdir(directory, { recursive: true });
  return entries.filter((name) => name.endsWith('.ts')).map((name) => join(directory, name));
}

async function bundle(entry, outfile) {
  if (!existsSync(entry)) return;
  await build({
    ...common,
    entryPoints: [entry],
    outfile,
    bundle: true,
    format: 'cjs',
    minify: true,
    define: { ...common.define, 'import.meta.dirname': '__dirname' },
    external: ['koffi', './daemon.cjs'],
    plugins: [otherBundles],
  });
}

async function transpile(outdir) {
  rmSync(outdir, { recursive: true, force: true });
  await build({
    ...common,
    entryPoints: [...(await sources('src')), ...(await sources('test'))],
    outdir,
    outbase: '.',
    format: 'esm',
  });
}

await bundle('src/main.ts', 'dist/main.cjs');
await bundle('src/cli/oclif.ts', 'dist/oclif.cjs');
await bundle('src/core/daemon/main.ts', 'dist/daemon.cjs');
await bundle('src/core/backend/device/kvm/main.ts', 'dist/kvm.cjs');
await bundle('src/core/native/blocking-worker.ts', 'dist/blocking.cjs');
if (process.argv.includes('--tests')) await transpile('build');
