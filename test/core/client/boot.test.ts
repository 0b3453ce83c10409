/** Command lines of kernels, the files that a guest is booted with, and which kernel is taken. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { shellLine, shellWord } from '../../../src/core/client/boot/command-line.js';
import { checkPlan, type GuestPlan } from '../../../src/core/client/boot/guest.js';
import { guestFiles, guestStatus } from '../../../src/core/client/boot/guest-files.js';
import {
  defaultKind,
  findKernel,
  type KernelPlaces,
} from '../../../src/core/client/boot/kernels.js';
import { qemuKind } from '../../../src/core/client/boot/qemu.js';
import { umlKind } from '../../../src/core/client/boot/uml.js';

const MIB = 2 ** 20;
const PLAN: GuestPlan = {
  cpus: 2,
  memory: 512 * MIB,
  kernel: '/usr/bin/linux.uml',
  directory: '/run/b',
  sockets: { vsock: '/run/web1.vhost-vsock', balloon: '/run/web1.vhost-balloon' },
  terminal: false,
  messages: 'important',
};
const UML = umlKind({ memoryDirectory: '/dev/shm', processor: 1 });
const COMMAND = {
  hostname: 'web1',
  command: "echo 'a b'",
  directory: '/home/me',
  env: { PATH: '/bin', NAME: "it's" },
};

t.test('user-mode Linux', async (t) => {
  t.strictSame(UML.commandLine(PLAN), {
    env: { TMPDIR: '/dev/shm' },
    program: 'taskset',
    args: [
      ...['--cpu-list', '1', '/usr/bin/linux.uml', 'mem=536870912'],
      ...['root=/dev/root', 'rootfstype=hostfs', 'rootflags=/', 'ro', 'init=/run/b/share/init'],
      'devtmpfs.mount=0',
      ...['con=null', 'ssl=null', 'con0=null,fd:1', 'con1=null,fd:2', 'console=tty1'],
      ...['quiet', 'loglevel=2'],
      'virtio_uml.device=/run/web1.vhost-vsock:19',
      'virtio_uml.device=/run/web1.vhost-balloon:5',
      ...['uml_dir=/run/b/', 'umid=uml'],
    ],
  });
  const bare = umlKind({ memoryDirectory: undefined, processor: undefined });
  const { env, program, args } = bare.commandLine({ ...PLAN, terminal: true, messages: 'all' });
  t.equal(program, '/usr/bin/linux.uml');
  t.same(env, { TMPDIR: '/run/b' }, 'its own directory has room for its memory');
  t.ok(args.includes('con0=fd:0,fd:1'), 'a terminal is its input');
  t.notOk(args.includes('quiet'));
  const silent = UML.commandLine({ ...PLAN, messages: 'none' }).args;
  t.ok(silent.includes('console=tty2'), 'the kernel speaks to nobody');
  t.ok(silent.includes('con1=null,fd:2'), 'but the command has its standard error');
});

t.test('QEMU', async (t) => {
  const plan = {
    ...PLAN,
    kernel: '/boot/vmlinuz',
    initrd: '/boot/initrd',
    sockets: { vsock: '/v' },
  };
  const { env, program, args } = qemuKind('tcg').commandLine(plan);
  const line = args.join(' ');
  t.same({ env, program }, { env: {}, program: 'qemu-system-x86_64' });
  t.match(line, / -chardev file,id=log,path=\/dev\/stderr,/);
  const run = qemuKind('tcg').commandLine({ ...plan, logFd: 3 });
  t.equal(run.logFd, 3);
  t.match(run.args.join(' '), / -chardev socket,id=log,fd=3 /);
  t.match(line, /-accel tcg -object memory-backend-memfd,id=memory,size=512M,share=on /);
  t.match(line, / -m 512M -smp 2 /, 'as large as what is shared');
  t.match(line, / -kernel \/boot\/vmlinuz -initrd \/boot\/initrd -append console=ttyS1 /);
  t.match(line, / init=\/run\/b\/share\/init devtmpfs.mount=0 panic=-1 quiet loglevel=2 /);
  t.match(line, / -chardev socket,id=vsock,path=\/v -device vhost-user-vsock-pci,chardev=vsock$/);
  t.match(line, /path=\/,readonly=on/, "the host's files are not changed");
  t.match(qemuKind('kvm').commandLine(plan).args.join(' '), /^-accel kvm -cpu host /);
  const without = { ...plan, initrd: undefined, messages: 'none' as const };
  t.notMatch(qemuKind('tcg').commandLine(without).args.join(' '), /-initrd/);
  t.match(qemuKind('tcg').commandLine(without).args.join(' '), /-append console=null /);
});

t.test('a line for the shell is run as it is meant', async (t) => {
  for (const word of ['a', 'a b', "it's", '$HOME', '', '*', 'a=b,c:/d', '\n']) {
    const { stdout } = spawnSync('sh', ['-c', `printf %s ${shellWord(word)}`]);
    t.equal(stdout.toString(), word);
  }
  const line = { env: { A: 'x y' }, program: 'sh', args: ['-c', 'echo "$A" $0', "it's"] };
  t.equal(spawnSync('sh', ['-c', shellLine(line)]).stdout.toString(), "x y it's\n");
});

t.test('what a kernel can not hold is refused', async (t) => {
  checkPlan(PLAN);
  const refused = (change: Partial<GuestPlan>, message: RegExp) =>
    t.throws(() => checkPlan({ ...PLAN, ...change }), { code: 'EINVAL', message });
  refused({ memory: 63 * MIB }, /more memory/);
  refused({ directory: '/run/a b' }, /a b/);
  refused({ sockets: { vsock: '/run/a:b' } }, /a:b/);
  refused({ sockets: { vsock: '/v', balloon: '/a,b' } }, /a,b/);
  refused({ kernel: '/my kernel' }, /my kernel/);
  refused({ initrd: '/a"b' }, /a"b/);
});

t.test('the files of a guest', async (t) => {
  const files = guestFiles(UML, PLAN, COMMAND);
  const text = (name: string) => files.find((file) => file.name === name)?.text ?? '';
  for (const { name, text, executable } of files.filter((file) => file.name !== 'fstab')) {
    t.ok(executable, name);
    t.equal(spawnSync('sh', ['-n'], { input: text }).status, 0, `${name} is a script`);
  }
  t.match(text('init'), "export NAME='it'\\''s'\n");
  t.match(text('init'), "cd '/home/me'\n");
  t.match(text('init'), '</dev/tty0 >/dev/tty0 2>&1');
  t.match(text('command'), "/bin/sh -c 'echo '\\''a b'\\''' </dev/null 2>/dev/tty1\n");
  t.match(text('command'), 'stty -opost\n', 'bytes stay what they are');
  t.match(text('fstab'), 'none /run/vmmctl hostfs /run/b/share,X-mount.mkdir=755 0 0\n');
  t.notMatch(text('fstab'), '/home/me');

  const qemu = guestFiles(qemuKind('tcg'), PLAN, { ...COMMAND, directory: '/tmp/a b' });
  const fstab = qemu.find((file) => file.name === 'fstab')?.text ?? '';
  t.match(fstab, 'share /run/vmmctl 9p trans=virtio');
  t.match(fstab, '/run/host/tmp/a\\040b /tmp/a\\040b none bind', 'what /tmp would hide is seen');

  const size = { rows: 24, columns: 80 };
  const shown = guestFiles(UML, { ...PLAN, terminal: true }, { ...COMMAND, size });
  const command = shown.find((file) => file.name === 'command')?.text ?? '';
  t.match(command, 'stty rows 24 columns 80\n');
  t.notMatch(command, '/dev/null');
  t.notMatch(command, 'opost');
});

t.test('how a command has ended is the name of a file', async (t) => {
  t.equal(guestStatus(['init', 'fstab']), undefined);
  t.equal(guestStatus(['init', 'ended-7']), 7);
  t.equal(guestStatus(['ended-0']), 0);
  const script = guestFiles(UML, PLAN, { ...COMMAND, command: 'exit 42' })
    .find((file) => file.name === 'command')
    ?.text.replaceAll('/run/vmmctl', t.testdir())
    .replaceAll('/dev/tty1', '/dev/null');
  t.equal(spawnSync('sh', { input: script ?? '' }).status, 0);
  t.equal(readFileSync(`${t.testdirName}/ended-42`, 'utf8'), '');
});

function places(programs: readonly string[], files: readonly string[] = []): KernelPlaces {
  return {
    program: (name) => (programs.includes(name) ? `/usr/bin/${name}` : undefined),
    isReadable: (path) => files.includes(path),
    installed: ['/boot/vmlinuz-2', '/boot/vmlinuz-1'],
  };
}

t.test('the way to boot', async (t) => {
  t.equal(defaultKind(places(['linux.uml', 'qemu-system-x86_64'])), 'uml');
  t.equal(defaultKind(places(['qemu-system-x86_64'])), 'qemu');
  t.throws(() => defaultKind(places([])), { code: 'EOPNOTSUPP', hint: /user-mode-linux/ });
});

t.test('kernels for user-mode Linux', async (t) => {
  const find = (programs: string[], files: string[], kernel?: string) =>
    findKernel('uml', { kernel }, places(programs, files));
  t.same(find(['linux.uml'], ['/usr/lib/uml/modules', '/lib/modules']), {
    path: '/usr/bin/linux.uml',
    initrd: undefined,
    modules: '/usr/lib/uml/modules',
  });
  t.match(find([], ['/k/linux', '/lib/modules'], '/k/linux'), {
    path: '/k/linux',
    modules: '/lib/modules',
  });
  t.equal(find(['linux.uml'], []).modules, undefined);
  t.throws(() => find([], []), { code: 'EOPNOTSUPP', hint: /--kernel/ });
  t.throws(() => find(['linux.uml'], [], '/none'), { code: 'ENOENT', path: '/none' });
});

t.test('kernels for QEMU', async (t) => {
  const qemu = ['qemu-system-x86_64'];
  const find = (files: string[], request = {}, programs = qemu) =>
    findKernel('qemu', request, places(programs, files));
  t.same(
    find(['/boot/vmlinuz-1', '/boot/vmlinuz-2', '/boot/initrd.img-2', '/lib/modules']),
    { path: '/boot/vmlinuz-2', initrd: '/boot/initrd.img-2', modules: '/lib/modules' },
    'the first that may be read, with what stands beside it',
  );
  t.same(
    find(['/boot/vmlinuz-1']),
    { path: '/boot/vmlinuz-1', initrd: undefined, modules: undefined },
    'the first may be for root alone',
  );
  const files = ['/k/boot/vmlinuz-3', '/k/boot/initrd.img-3', '/k/lib/modules', '/my/initrd'];
  const kernel = '/k/boot/vmlinuz-3';
  t.match(find(files, { kernel, initrd: '/my/initrd' }), {
    initrd: '/my/initrd',
    modules: '/k/lib/modules',
  });
  t.throws(() => find(files, { kernel, initrd: '/none' }), { code: 'ENOENT', path: '/none' });
  t.throws(() => find([]), { code: 'EOPNOTSUPP', hint: /--kernel/ });
  t.throws(() => find(files, { kernel }, []), { code: 'EOPNOTSUPP', hint: /qemu-system-x86/ });
});
