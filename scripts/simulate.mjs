// Runs the simulation of the vsock network: npm run simulate -- --seeds 5000 [--from 1], or --seed N for one
// run that failed. A failure is printed with its seed and options; the exit status is then 1.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
  },
});

const root = new URL('..', import.meta.url);
const directory = mkdtempSync(join(tmpdir(), 'vmmctl-simulate-'));
process.on('exit', () => rmSync(directory, { recursive: true }));
const outfile = join(directory, 'vsock.mjs');
await build({
  entryPoints: [new URL('test/simulation/vsock.ts', root).pathname],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  sourcemap: 'linked',
  logLevel: 'warning',
});
process.setSourceMapsEnabled(true);
const { simulate } = await import(pathToFileURL(outfile).href);

const first = whole(values.seed ?? values.from, 0);
const count = values.seed === undefined ? whole(values.seeds, 1) : 1;
const total = { seeds: 0, connections: 0, packets: 0, bytes: 0, virtualMs: 0 };
const started = performance.now();
let failed = 0;
for (let seed = first; seed < first + count; seed++) {
  try {
    const result = simulate(seed);
    for (const [name, value] of Object.entries(result)) total[name] += value;
  } catch (error) {
    failed++;
    console.error(`${error.message}\n${error.cause?.stack ?? ''}\n`);
  }
  total.seeds++;
}
const seconds = ((performance.now() - started) / 1000).toFixed(1);
const hours = (total.virtualMs / 3_600_000).toFixed(1);
console.log(
  `${total.seeds} seeds, ${failed} failed: ${total.connections} connections, ${total.packets} packets, ` +
    `${total.bytes} bytes, ${hours} hours of virtual time in ${seconds} s`,
);
process.exitCode = failed > 0 ? 1 : 0;

function whole(text, least) {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= least) return number;
  console.error(`'${text}' is not a whole number from ${least} on`);
  process.exit(2);
}
