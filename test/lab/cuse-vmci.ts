/** The node of VMCI by CUSE: a C program on it, and our own commands as a program of this machine. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { Test } from 'tap';
import { type Lab, NOBODY } from './lab.js';

const V = 'vmmctl -b device vmci';
const NODE = '/dev/vmci';

async function output(t: Test, lab: Lab, command: string): Promise<string> {
  const { status, stdout, stderr } = await lab.run(command);
  t.strictSame([status, stderr], [0, ''], command);
  return stdout.toString();
}

/** The node is that of web1's guest. */
export async function testVmciNode(t: Test, lab: Lab): Promise<void> {
  const program = join(lab.directory, 'vmci-calls');
  const source = 'test/lab/programs/vmci-calls.c';
  execFileSync('cc', ['-std=gnu11', '-D_GNU_SOURCE', '-Wall', '-Werror', '-o', program, source]);
  const calls = (...words: string[]) => [program, NODE, ...words].join(' ');

  t.equal(await output(t, lab, `stat -c %a ${NODE}`), '600\n');
  t.equal(await output(t, lab, calls('version')), `${8 << 16} ${11 << 16}\n`);
  await t.test('datagrams to itself', async (t) => {
    t.equal(
      await output(t, lab, calls('self')),
      [
        'context ok 7',
        'poll 0',
        'send ok 29',
        'poll 1',
        'receive ok -3',
        "receive ok 0 7:500 'hello'",
        'receive ok -6',
        'poll 0',
        '',
      ].join('\n'),
    );
  });
  await t.test('poll waits for a ring', async (t) => {
    const waiting = lab.start(calls('wait', '50'));
    await waiting.waitForOutput('doorbell ok 0');
    await output(t, lab, 'vmmctl --in web1 vmci doorbell ring 50:7');
    const { stdout } = await waiting.exited;
    t.equal(
      stdout.toString(),
      'context ok 50\ndoorbell ok 0\npoll 1\nrings ok 0 size 8 first 50:7\n',
    );
  });
  await t.test('what is refused', async (t) => {
    t.equal(
      await output(t, lab, calls('refusals')),
      [
        'before: host ok 2, send EINVAL, number EINVAL, poll 0',
        'context ok 8',
        'short EINVAL, address EFAULT, argument EFAULT',
        'pair ok -3, notify ok -13',
        'read EINVAL, write EINVAL, mmap ENODEV',
        '',
      ].join('\n'),
    );
    const user = await lab.run(calls('version'), { user: NOBODY });
    t.strictSame([user.status, user.stdout.toString()], [1, 'open EACCES\n']);
  });
  await t.test('our own commands on it', async (t) => {
    t.equal(await output(t, lab, `${V} id`), '16\n');
    const waiting = lab.start(`${V} doorbell wait 7 --context 41`);
    await waiting.waitFor('listening on 41:7');
    await output(t, lab, 'vmmctl --in web1 vmci doorbell ring 41:7');
    t.equal((await waiting.exited).stdout.toString(), '41:7\n');
    const refused = await lab.run(`${V} send host:9999 --data x`);
    t.match(refused, { status: 6, stderr: /VMCI_ERROR_INVALID_RESOURCE/ });
  });
}
