/** vCPUs as their user has them: run, stopped from elsewhere, compared, and with a destroyed VM under them. */
import { writeFileSync } from 'node:fs';
import t from 'tap';
import type { VmDetails, VmRecord } from '../../src/core/backend/port/vm.js';
import { type Host, simulatedHost } from '../helpers/host.js';

const CPUS = [0, 63, 64, 255, 256, 1023];

interface ExitDocument {
  exit: string;
  cpus?: number[];
  raw?: Record<string, string>;
  [field: string]: unknown;
}

function documents(stdout: Buffer): ExitDocument[] {
  const lines = stdout.toString().split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as ExitDocument);
}

/** Bits of the set, as bytes of some length. */
function setBytes(size: number): string {
  const bytes = Buffer.alloc(size);
  for (const cpu of CPUS) {
    if (cpu < size * 8) bytes[cpu >> 3] = (bytes[cpu >> 3] ?? 0) | (1 << (cpu & 7));
  }
  return bytes.toString('hex');
}

async function state(host: Host, name: string): Promise<Pick<VmRecord, 'state' | 'reason'>> {
  const vms = await host.json<VmRecord[]>(['list']);
  const found = vms.find((vm) => vm.name === name);
  if (!found) throw new Error(`no VM ${name}`);
  return { state: found.state, reason: found.reason };
}

t.test('a vCPU', async (t) => {
  const host = await simulatedHost(t);
  const program = (name: string, text: string) => {
    writeFileSync(host.path(name), text);
    return host.path(name);
  };
  const endless = program('endless', 'loop\nout 0x80 1\nend\n');
  const silent = program('silent', 'wait\n');
  await host.run(['create', 'web1', '--cpus', '4']);

  await t.test('executes what comes from standard input', async (t) => {
    const input = '# hello\nout 0x3f8 1 0x41\nout 0x3f8 1 10 # a new line\nhlt\n';
    const ran = await host.run(['run', 'web1', '--program', '-', '--json'], { input });
    t.match(ran, { status: 0, stderr: '' });
    t.match(documents(ran.stdout), [{ port: 1016, eax: 65 }, { eax: 10 }, { exit: 'HLT' }]);
  });

  await t.test('shows an IPI byte for byte, in every form and size', async (t) => {
    const ipi = program('ipi', `ipi fixed 0x20 ${CPUS.join(',')}\n`);
    const look = async (...args: string[]) => {
      const line = ['run', 'web1', '--program', ipi, '--count', '1', '--json', '--raw', ...args];
      const [exit] = documents((await host.run(line)).stdout);
      return exit;
    };
    for (const size of [8, 32, 128, 256]) {
      const exit = await look('--abi', '15', '--cpuset-size', String(size));
      t.equal(
        exit?.raw?.cpuset,
        setBytes(128)
          .padEnd(512, '0')
          .slice(0, 2 * size),
        `${size}`,
      );
      t.match(exit, { exit: 'IPI', mode: 0, vector: 32 });
    }
    const arm = (exit: ExitDocument | undefined) => exit?.raw?.vm_exit?.slice(2 * 24);
    t.equal(arm(await look('--abi', '13')), setBytes(32).padEnd(2 * 112, '0'));
    t.equal(arm(await look('--abi', 'grown')), setBytes(128));
  });

  await t.test('that runs ends at Ctrl-C, whether it exits or not', async (t) => {
    for (const path of [endless, silent]) {
      const run = host.start(['run', 'web1', '--program', path, '-v', '--json']);
      if (path === endless) await run.waitForOutput('INOUT');
      else await host.until(['list', '--json'], ({ stdout }) => /"running"/.test(String(stdout)));
      run.kill('SIGINT');
      t.match(await run.ended, { signal: 'SIGINT', stderr: '' }, path);
      await host.until(['list', '--json'], ({ stdout }) => /"created"/.test(String(stdout)));
    }
  });

  await t.test('ends quietly when nobody reads any more', async (t) => {
    const line = `vmmctl run web1 --program ${endless} --quiet | head -n 2`;
    const { stdout, stderr } = await host.shell(line).ended;
    t.equal(stdout.toString(), 'INOUT\nINOUT\n');
    t.equal(stderr, '');
  });

  await t.test('ends at --timeout', async (t) => {
    const ran = await host.run(['run', 'web1', '--program', silent, '--timeout', '100ms']);
    t.match(ran, { status: 6, stderr: /not done within 100ms \(ETIMEDOUT\)/ });
  });

  await t.test('can be paused and resumed from elsewhere', async (t) => {
    const run = host.start(['run', 'web1', '--program', endless, '--quiet']);
    await run.waitForOutput('INOUT');
    t.match(await state(host, 'web1'), { state: 'running', reason: null });
    t.equal((await host.run(['suspend', 'web1'])).status, 0);
    await run.waitForOutput('DEBUG');
    t.match(await state(host, 'web1'), { state: 'suspended', reason: 'paused' });
    t.equal((await host.run(['resume', 'web1'])).status, 0);
    await run.waitForOutput('DEBUG\nINOUT');
    run.kill('SIGINT');
    t.equal((await run.ended).signal, 'SIGINT');
  });

  await t.test('is told when its VM is switched off, or reset', async (t) => {
    for (const [command, how] of [
      ['poweroff', 'POWEROFF'],
      ['reset', 'RESET'],
    ] as const) {
      const run = host.start(['run', 'web1', '--reset', '--program', silent, '--json']);
      await host.until(['list', '--json'], ({ stdout }) => /"running"/.test(String(stdout)));
      t.match(await host.run([command, 'web1']), { status: 0, stderr: '' });
      const { status, stdout } = await run.ended;
      t.equal(status, 0);
      t.match(documents(stdout), [{ exit: 'SUSPENDED', how }]);
    }
    t.match(await state(host, 'web1'), { state: 'created', reason: null });
    await host.run(['poweroff', 'web1']);
    t.match(await state(host, 'web1'), { state: 'suspended', reason: 'poweroff' });
    const page = await host.json<VmDetails[]>(['inspect', 'web1']);
    t.match(page, [{ reason: 'poweroff', topology: { cores: 4 }, cpuSets: { debug: [] } }]);
    t.equal((await host.run(['reset', 'web1'])).status, 0);
  });

  await t.test('sees with the others that the VM is suspended', async (t) => {
    const off = program('off', 'out 0x80 1\nsuspend poweroff\n');
    const waits = host.start(['run', 'web1', '--vcpu', '1', '--program', silent, '--quiet']);
    await host.until(['inspect', 'web1', '--json'], ({ stdout }) => {
      const [vm] = JSON.parse(String(stdout)) as VmDetails[];
      return vm?.cpuSets?.active.includes(1) === true;
    });
    const first = await host.run(['run', 'web1', '--program', off, '--quiet']);
    t.equal(first.stdout.toString(), 'INOUT\nSUSPENDED\n');
    t.match(await waits.ended, { status: 0, stdout: Buffer.from('SUSPENDED\n') });
    t.match(await host.run(['run', 'web1']), { status: 1, stderr: /suspended \(EINVAL\)/ });
    t.match(await host.json(['inspect', 'web1']), [{ cpuSets: { suspended: [0, 1] } }]);
    t.equal((await host.run(['reset', 'web1'])).status, 0);
  });

  await t.test('that two run at once is one after the other', async (t) => {
    const run = host.start(['run', 'web1', '--program', endless, '--quiet']);
    await run.waitForOutput('INOUT');
    const other = await host.run(['run', 'web1', '--quiet', '--count', '5']);
    t.equal(other.stdout.toString(), 'INOUT\n'.repeat(5));
    const stats = await host.json<{ counters: Record<string, string> }[]>(['stats', 'web1']);
    t.ok(Number(stats[0]?.counters['total number of vm exits']) >= 6);
    run.kill('SIGINT');
    await run.ended;
  });

  await t.test('ends with its VM', async (t) => {
    await host.run(['create', 'brief']);
    const run = host.start(['run', 'brief', '--program', silent, '--json']);
    await host.until(['list', '--json'], ({ stdout }) => /"running"/.test(String(stdout)));
    await host.run(['destroy', 'brief']);
    const { status, stdout } = await run.ended;
    t.equal(status, 0);
    t.match(documents(stdout), [{ exit: 'SUSPENDED', how: 'DESTROY' }]);
  });

  await t.test('is not for those who may not open its node', async (t) => {
    const others = await host.run(['--as', '1000', 'run', 'web1']);
    t.match(others, { status: 5, stderr: /\(EACCES\)/ });
    t.equal((await host.run(['--as', '1000', 'poweroff', 'web1'])).status, 5);
    await host.run(['--jail', 'j', 'create', 'inside']);
    const input = 'pause\n';
    const line = ['run', 'j/inside', '--program', '-', '--quiet', '--count', '1'];
    t.equal(String((await host.run(line, { input })).stdout), 'PAUSE\n', 'a VM of a jail below');
    t.equal((await host.run(['poweroff', 'j/inside'])).status, 0);
    t.match(await state(host, 'j/inside'), { reason: 'poweroff' });
  });
});

t.test('a program with too many lines is wrong usage', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  writeFileSync(host.path('long.exits'), 'pause\n'.repeat(4097));
  const run = await host.run(['run', 'web1', '--program', 'long.exits', '--count', '1']);
  t.match(run, { status: 2, stderr: /at most 4096 lines/ });
});
