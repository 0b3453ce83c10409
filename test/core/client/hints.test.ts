import t from 'tap';
import type { ErrorCode } from '../../../src/core/abi/errno.js';
import { groupName, hintFor, type NodeOwner } from '../../../src/core/client/hints.js';
import { PROBES } from '../../../src/core/client/host.js';

const user = 'ann';
const owned = (mode: number, gid: number, group: string): NodeOwner => ({ mode, gid, group });

t.test('what is missing names the module that brings it', async (t) => {
  const missing = (name: string, code: ErrorCode = 'ENOENT') =>
    hintFor({ name, code, kernel: 'linux', user });
  t.equal(missing('/dev/vsock'), 'as root: modprobe vsock');
  t.equal(missing('AF_VSOCK', 'EAFNOSUPPORT'), 'as root: modprobe vsock');
  t.equal(missing('/dev/vhost-vsock', 'ENODEV'), 'as root: modprobe vhost_vsock');
  t.equal(
    missing('/dev/kvm'),
    'as root: modprobe kvm_intel or modprobe kvm_amd (only on a CPU with VT-x or SVM)',
  );
  t.match(missing('/dev/vboxguest'), /apt install virtualbox-guest-utils, then modprobe vboxguest/);
  t.equal(
    missing('vsockmon', 'ENODEV'),
    'as root: modprobe vsockmon, then ip link add vsockmon0 type vsockmon, then ip link set vsockmon0 up',
  );
  t.equal(missing('/dev/vmmctl'), 'only on FreeBSD');
  t.equal(missing('/dev/else'), undefined);
});

t.test('on FreeBSD the module is loaded by its own command', async (t) => {
  const missing = (name: string) => hintFor({ name, code: 'ENOENT', kernel: 'freebsd', user });
  t.equal(missing('/dev/vmmctl'), 'as root: kldload vmm');
  t.equal(missing('/dev/kvm'), 'only on Linux');
});

t.test('every probe has a hint on a system that lacks it', async (t) => {
  for (const { name } of PROBES) {
    t.type(hintFor({ name, code: 'ENOENT', kernel: 'linux', user }), 'string', name);
  }
});

t.test('a node that a group may use names the group', async (t) => {
  const denied = (owner: NodeOwner | undefined, kernel: 'linux' | 'freebsd' = 'linux') =>
    hintFor({ name: '/dev/kvm', code: 'EACCES', kernel, owner, user });
  const ofKvm = owned(0o660, 108, 'kvm');
  t.equal(denied(ofKvm), 'as root: usermod -aG kvm ann, and log in again');
  t.equal(denied(ofKvm, 'freebsd'), 'as root: pw groupmod kvm -m ann, and log in again');
  const alone = 'as root: chown ann /dev/kvm';
  t.equal(denied(owned(0o660, 0, 'root')), alone, "root's group is for nobody else");
  t.equal(denied(owned(0o640, 108, 'kvm')), alone, 'a group that may only read is of no use');
  t.equal(denied(undefined), alone);
  t.equal(denied(undefined, 'freebsd'), alone);
});

t.test('other errors have hints of their own, or none', async (t) => {
  const hint = (code: ErrorCode, name = '/dev/kvm') =>
    hintFor({ name, code, kernel: 'linux', user });
  t.match(hint('EPERM'), /container or jail/);
  t.equal(hint('EBUSY'), 'another program has it');
  t.match(hint('EMFILE'), /ulimit -n/);
  t.equal(hint('ENOTTY'), 'another driver has this path');
  t.equal(hint('EIO'), undefined);
  t.equal(hint('EACCES', 'transports'), undefined);
});

t.test('a machine whose system is not known gets no commands', async (t) => {
  t.equal(hintFor({ name: '/dev/vsock', code: 'ENOENT', user }), undefined);
  t.equal(hintFor({ name: '/dev/vsock', code: 'EACCES', user }), undefined);
});

t.test('a group is named as group(5) has it', async (t) => {
  const groups = 'root:x:0:\nkvm:x:108:ann,bob\n:x:9:\n';
  t.equal(groupName(groups, 108), 'kvm');
  t.equal(groupName(groups, 7), '7');
  t.equal(groupName(groups, 9), '9');
});
