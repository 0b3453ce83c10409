// Builds what is run: dist/ holds one CommonJS file for each way of starting, so that a start reads few files.
// With --tests it also turns src/ and test/ into build/, file by file, for the test runner.
import { rmSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';

const root = new URL('..', import.meta.url).pathname;
process.chdir(root);

const common = { platform: 'node', target: 'node20', logLevel: 'warning', sourcemap: 'linked' };

/** Every TypeScript file below a directory. */
async function sources(directory) {
  const entries = await readdir(directory, { recursive: true });
  return entries.filter((name) => name.endsWith('.ts')).map((name) => join(directory, name));
}

async function bundle(entry, outfile, external = []) {
  await build({
    ...common,
    entryPoints: [entry],
    outfile,
    bundle: true,
    format: 'cjs',
    minify: true,
    keepNames: true,
    external: ['koffi', ...external],
  });
}

async function transpile() {
  rmSync('build', { recursive: true, force: true });
  await build({
    ...common,
    entryPoints: [...(await sources('src')), ...(await sources('test'))],
    outdir: 'build',
    outbase: '.',
    format: 'esm',
  });
}

await bundle('src/main.ts', 'dist/main.cjs', ['./daemon.cjs', './oclif.cjs']);
await bundle('src/core/daemon/main.ts', 'dist/daemon.cjs');
if (process.argv.includes('--tests')) await transpile();
