/** A C program that runs a simulated vCPU through its node, with FreeBSD's structs as it has typed them out. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { Lab } from './lab.js';

const PROGRAM = [
  'loop',
  'out 0x3f8 1 0x41',
  'in 0x60 4 0x11223344',
  'ipi init 0xf1 0,63,64,255,256,1023',
  'wrmsr 0x10 1',
  'end',
].join('\\n');

/** Needs the host's nodes on the machine of the lab. */
export async function testVcpuCalls(t: Test, lab: Lab): Promise<void> {
  const binary = join(lab.directory, 'vcpu-calls');
  const flags = ['-std=gnu11', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror'];
  execFileSync('cc', [...flags, '-o', binary, 'test/lab/programs/vcpu-calls.c']);
  const output = async (command: string): Promise<string> => {
    const { status, stdout, stderr } = await lab.run(command);
    t.strictSame([status, stderr], [0, ''], command);
    return stdout.toString();
  };
  const calls = (room: number, ...forms: string[]) =>
    output([binary, '/dev/vmm/runs1', room, ...forms].join(' '));

  await output('vmmctl create runs1 --memory 64M');
  const first = `printf '${PROGRAM}' | vmmctl run runs1 --program - --count 1 --json`;
  t.match(JSON.parse(await output(first)), { exit: 'INOUT', port: 0x3f8 });
  t.equal(
    await calls(256, '15', '15', '13', 'cpus'),
    [
      '15 ok exit 0 length 1 rip 0x1 bytes 4 in 1 port 0x60 eax 0x11223344',
      '15 ok exit 24 length 2 rip 0x2 mode 0x500 vector 0xf1 set 0:01 7:80 8:01 31:80 32:01 127:80',
      '13 ok exit 4 length 2 rip 0x4',
      'cpus ERANGE set',
      '',
    ].join('\n'),
  );
  t.equal(
    await calls(8, '13', '13', '13', '15', '15', '15', '15', 'cpus'),
    [
      '13 ok exit 0 length 1 rip 0 bytes 1 in 0 port 0x3f8 eax 0x41',
      '13 ok exit 0 length 1 rip 0x1 bytes 4 in 1 port 0x60 eax 0x11223344',
      '13 ok exit 24 length 2 rip 0x2 mode 0x500 vector 0xf1 set 0:01 7:80 8:01 31:80',
      '15 ok exit 4 length 2 rip 0x4',
      '15 ok exit 0 length 1 rip 0 bytes 1 in 0 port 0x3f8 eax 0x41',
      '15 ok exit 0 length 1 rip 0x1 bytes 4 in 1 port 0x60 eax 0x11223344',
      '15 ok exit 24 length 2 rip 0x2 mode 0x500 vector 0xf1 set 0:01 7:80',
      'cpus ok set 0:01',
      '',
    ].join('\n'),
  );
  await output('vmmctl destroy runs1');
}
