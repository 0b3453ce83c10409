// Measures vmmctl beside socat on a real kernel: user-mode Linux, both ends over its loopback transport, in one boot.
import { spawnSync } from 'node:child_process';

// Smaller ones are slower: 64 KiB takes twice as long.
const BUFFERS = [262144, 1048576];
const PORT = 6000;

/** The part that runs inside: prints a name and milliseconds on each line. */
const SCRIPT = `
V='vmmctl -b device -q vsock'
# Of holes alone, so that it may be larger than the memory.
truncate -s \${MIB}M /tmp/input
truncate -s $((MIB / 4))M /tmp/quarter
measure() { # NAME LISTENER CLIENT
  $2 >/dev/null 2>/tmp/said & listener=$!
  until grep -q listening /tmp/said; do sleep 0.02; done
  begin=$(date +%s%N)
  $3
  wait $listener
  end=$(date +%s%N)
  echo "$1 $(((end - begin) / 1000000))"
}
s() { socat -d -d -u -b "$1" VSOCK-LISTEN:${PORT} CREATE:/dev/null; }
c() { socat -u -b "$1" OPEN:$2 VSOCK-CONNECT:1:${PORT}; }
l() { vmmctl -b device vsock listen ${PORT}; }
k() { vmmctl -b device vsock cat "file:$1" local:${PORT}; }
for round in $(seq $ROUNDS); do
  for b in ${BUFFERS.join(' ')}; do
    measure "socat/$b/quarter" "s $b" "c $b /tmp/quarter"
    measure "socat/$b" "s $b" "c $b /tmp/input"
  done
  measure to-socat/quarter 's 1048576' 'k /tmp/quarter'
  measure to-socat 's 1048576' 'k /tmp/input'
  measure from-socat/quarter l 'c 1048576 /tmp/quarter'
  measure from-socat l 'c 1048576 /tmp/input'
  measure ours/quarter l 'k /tmp/quarter'
  measure ours l 'k /tmp/input'
done
`;

/** Whether it can be measured here. */
export function hasUml() {
  return spawnSync('linux.uml', ['--version']).status === 0;
}

/**
 * @param record as in bench.mjs.
 * @param {{ mebibytes: number, rounds: number }} options
 */
export async function benchUml(record, { mebibytes, rounds }) {
  const { bootUml } = await import('../build/test/lab/uml.js');
  const ends = [];
  const lab = await bootUml({ teardown: (end) => ends.push(end) }, { memoryMiB: 1024 });
  try {
    const command = `MIB=${mebibytes} ROUNDS=${rounds}\n${SCRIPT}`;
    const { status, stdout, stderr } = await lab.run(command, { timeoutMs: 600_000 });
    if (status !== 0)
      throw new Error(`the measuring in user-mode Linux ended with ${status}: ${stderr}`);
    report(record, timesOf(stdout.toString()), mebibytes);
  } finally {
    for (const end of ends) await end();
  }
}

/** Milliseconds by name, the median of each. */
function timesOf(text) {
  const all = new Map();
  for (const line of text.trim().split('\n')) {
    const [name, ms] = line.split(' ');
    all.set(name, [...(all.get(name) ?? []), Number(ms)]);
  }
  const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
  return new Map([...all].map(([name, numbers]) => [name, median(numbers)]));
}

function report(record, times, mebibytes) {
  // What the last three quarters took: the start of a program is measured elsewhere.
  const moving = (name) => times.get(name) - times.get(`${name}/quarter`);
  const socat = BUFFERS.map((size) => ({ size, ms: moving(`socat/${size}`) }));
  const { size, ms } = socat.reduce((a, b) => (a.ms < b.ms ? a : b));
  const speed = (time) => (mebibytes * 0.75 * 1000) / time;
  const peer = `socat, its best: ${size / 1024} KiB`;
  for (const [name, title] of [
    ['to-socat', 'file to socat'],
    ['from-socat', 'socat to us'],
    ['ours', 'file to us'],
  ]) {
    record(`user-mode Linux: ${title}`, 'MiB/s', speed(moving(name)), speed(ms), peer, false);
  }
}
