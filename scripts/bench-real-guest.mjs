// Measures a real guest of the simulated host: user-mode Linux over vhost-user, socat in it and vmmctl outside, beside
// what the same kernel moves between two of its own programs.
import { spawn } from 'node:child_process';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const BUFFER = 262144;
const VM = 'bench-real';
const [OUT, INTO, OWN, DONE] = [6001, 6002, 6003, 6004];
/** Ticks of /proc in a second, on every Linux. */
const TICKS = 100;

/** The part that runs in the guest: prints a name and milliseconds on each line. */
const SCRIPT = `
/run/vmmctl/modprobe vsock_loopback || exit 1
truncate -s \${MIB}M /tmp/input
truncate -s $((MIB / 4))M /tmp/quarter
now() { date +%s%N; }
measure() { # NAME COMMAND...
  name=$1; shift
  begin=$(now)
  "$@" || exit 1
  echo "$name $((($(now) - begin) / 1000000))"
}
into() { socat -u -b ${BUFFER} VSOCK-CONNECT:2:$1 CREATE:/dev/null; }
out() { socat -u -b ${BUFFER} OPEN:$1 VSOCK-CONNECT:2:${OUT}; }
own() {
  socat -u -b ${BUFFER} VSOCK-LISTEN:${OWN} CREATE:/dev/null & listener=$!
  until socat -u -b ${BUFFER} OPEN:$1 VSOCK-CONNECT:1:${OWN} 2>/dev/null; do :; done
  wait $listener
}
echo ready
for round in $(seq $ROUNDS); do
  for size in quarter input; do
    measure out/$size out /tmp/$size
    measure own/$size own /tmp/$size
  done
  measure into/quarter into ${INTO}
  measure into/input into ${DONE}
done
`;

/**
 * @param record as in bench.mjs.
 * @param {{ mebibytes: number, rounds: number, vmmctl: string[], home: string }} options
 */
export async function benchRealGuest(record, { mebibytes, rounds, vmmctl, home }) {
  const [node, ...program] = vmmctl;
  const children = new Set();
  const start = (args, stdio = ['ignore', 'pipe', 'ignore']) => {
    const child = spawn(node, [...program, ...args], { stdio });
    children.add(child);
    child.done = new Promise((resolve) => child.once('close', resolve));
    return child;
  };
  const must = async (...args) => {
    const status = await start(args).done;
    if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}`);
  };
  const file = (name, size) => {
    const path = join(home, name);
    writeFileSync(path, '');
    truncateSync(path, size * 2 ** 20);
    return path;
  };
  const serve = (port, path) => {
    const exec = `exec cat '${path}'`;
    start(['vsock', 'listen', `${port}`, '--keep-open', '--exec', exec]);
  };
  try {
    await must('create', VM, '--memory', '512M');
    start(['vsock', 'listen', `${OUT}`, '--keep-open', '--exec', 'exec cat >/dev/null']);
    serve(INTO, file('quarter', mebibytes / 4));
    serve(DONE, file('input', mebibytes));
    const host = start(['sim', 'status', '--json']);
    const { pid } = JSON.parse(await collect(host.stdout));
    const before = cpuSeconds(pid);
    const init = `MIB=${mebibytes} ROUNDS=${rounds}\n${SCRIPT}`;
    const guest = start(['boot', VM, '--uml', '--quiet', '--init', init]);
    let text = '';
    guest.stdout.on('data', (chunk) => {
      text += chunk;
    });
    const status = await guest.done;
    if (status !== 0)
      throw new Error(`the measuring in a real guest ended with ${status}: ${text}`);
    report(record, text, mebibytes);
    // In each round a quarter and the whole go out, and come in.
    const gibibytes = (rounds * 2 * 1.25 * mebibytes) / 1024;
    const cpu = (cpuSeconds(pid) - before) / gibibytes;
    record('real guest: CPU of the simulated host', 's/GiB', cpu);
  } finally {
    for (const child of children) child.kill();
    await start(['destroy', VM]).done;
  }
}

async function collect(stream) {
  let text = '';
  for await (const chunk of stream) text += chunk;
  return text;
}

/** What a process has used of all CPUs, seconds. */
function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

function report(record, text, mebibytes) {
  const all = new Map();
  for (const line of text.trim().split('\n')) {
    const [name, ms] = line.split(' ');
    all.set(name, [...(all.get(name) ?? []), Number(ms)]);
  }
  const median = (name) => {
    const numbers = all.get(name).toSorted((a, b) => a - b);
    return numbers[Math.floor(numbers.length / 2)];
  };
  // What the last three quarters took: the start of a program is measured elsewhere.
  const speed = (name) =>
    (mebibytes * 0.75 * 1000) / Math.max(1, median(`${name}/input`) - median(`${name}/quarter`));
  const own = 'socat to socat in it';
  record('real guest: socat in it to us', 'MiB/s', speed('out'), speed('own'), own, false);
  record('real guest: us to socat in it', 'MiB/s', speed('into'), speed('own'), own, false);
}
