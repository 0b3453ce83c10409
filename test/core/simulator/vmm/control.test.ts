/** Each row of the errors of /dev/vmmctl, in the order in which the kernel checks. */
import t from 'tap';
import {
  VMMCTL_VM_CREATE,
  VMMCTL_VM_DESTROY,
  vmmctl_vm_create,
  vmmctl_vm_create_v1,
  vmmctl_vm_destroy,
} from '../../../../src/core/abi/vmmctl.js';
import { ROOT } from '../../../../src/core/simulator/node.js';
import { CONTROL_IOCTLS } from '../../../../src/core/simulator/vmm/control.js';
import {
  codeOf,
  create,
  createArgument,
  DESTROY_ON_CLOSE,
  destroy,
  jailed,
  names,
  user,
  vmmHost,
} from '../../../helpers/vmm.js';

const NAME = Uint8Array.of(0x61);

t.test('a VM is created and destroyed by name', async (t) => {
  const vmm = vmmHost();
  const node = vmm.openControl(ROOT, 'rw');
  t.equal(create(node, 'web1').result, 0);
  t.strictSame(names(vmm), ['web1']);
  t.equal(destroy(node, 'web1').result, 0);
  t.strictSame(names(vmm), []);
});

t.test('the argument comes back with a terminator in its last byte', async (t) => {
  const node = vmmHost().openControl(ROOT, 'rw');
  const full = new Uint8Array(230).fill(0x61);
  const { data = new Uint8Array() } = create(node, full);
  t.equal(data.length, 296);
  t.equal(data[228], 0x61);
  t.equal(data[229], 0);
  const answer = destroy(node, full).data;
  t.equal(answer?.[229], 0);
});

t.test('bytes of the argument that no field covers come back as they were', async (t) => {
  const node = vmmHost().openControl(ROOT, 'rw');
  const argument = new Uint8Array([...createArgument('a'), 7, 8, 9]);
  argument[230] = 5;
  t.strictSame(node.ioctl(VMMCTL_VM_CREATE, argument).data, argument);
});

t.test('an unknown number is ENOTTY, also the right number with a wrong size', async (t) => {
  const node = vmmHost().openControl(ROOT, 'rw');
  for (const number of [0, 0xc1285602, 0xc1285700, 0xc1245600, 0x81285600, -1]) {
    t.equal(
      codeOf(() => node.ioctl(number, new Uint8Array(512))),
      'ENOTTY',
      number.toString(16),
    );
  }
});

t.test('a number is taken as 32 bits, signed or not', async (t) => {
  const vmm = vmmHost();
  const node = vmm.openControl(ROOT, 'rw');
  node.ioctl(VMMCTL_VM_CREATE | 0, createArgument('a'));
  t.strictSame(names(vmm), ['a']);
});

t.test('an argument that is shorter than the struct, or no buffer, is EFAULT', async (t) => {
  const node = vmmHost().openControl(ROOT, 'rw');
  t.equal(
    codeOf(() => node.ioctl(VMMCTL_VM_CREATE, new Uint8Array(295))),
    'EFAULT',
  );
  t.equal(
    codeOf(() => node.ioctl(VMMCTL_VM_DESTROY, new Uint8Array(0))),
    'EFAULT',
  );
  t.equal(
    codeOf(() => node.ioctl(VMMCTL_VM_CREATE, 4096)),
    'EFAULT',
  );
});

t.test('a closed descriptor gives EBADF', async (t) => {
  const node = vmmHost().openControl(ROOT, 'rw');
  node.close();
  t.equal(
    codeOf(() => create(node, 'a')),
    'EBADF',
  );
});

t.test('create: a reserved word that is not zero is EINVAL', async (t) => {
  const node = vmmHost().openControl(ROOT, 'rw');
  for (let i = 0; i < 15; i++) {
    const reserved = new Array<number>(15).fill(0);
    reserved[i] = 1;
    const argument = vmmctl_vm_create.encode({ name: NAME, reserved });
    t.equal(
      codeOf(() => node.ioctl(VMMCTL_VM_CREATE, argument)),
      'EINVAL',
    );
  }
});

t.test('create: any flag but destroy-on-close is EINVAL', async (t) => {
  const node = vmmHost().openControl(ROOT, 'rw');
  for (let bit = 1; bit < 32; bit++) {
    t.equal(
      codeOf(() => create(node, 'a', (1 << bit) >>> 0)),
      'EINVAL',
    );
    t.equal(
      codeOf(() => create(node, 'a', ((1 << bit) | 1) >>> 0)),
      'EINVAL',
    );
  }
});

t.test('create: FreeBSD 15.0 has no flags, and answers EINVAL to any', async (t) => {
  const vmm = vmmHost({ release: '15.0' });
  const node = vmm.openControl(ROOT, 'rw');
  t.equal(
    codeOf(() => create(node, 'a', DESTROY_ON_CLOSE)),
    'EINVAL',
  );
  const old = vmmctl_vm_create_v1.encode({ name: NAME });
  t.equal(
    codeOf(() => node.ioctl(VMMCTL_VM_CREATE, old)),
    'ok',
  );
  node.close();
  t.strictSame(names(vmm), ['a'], 'VMs stay');
});

t.test('create: a name in use is EEXIST', async (t) => {
  const node = vmmHost().openControl(ROOT, 'rw');
  create(node, 'a');
  t.equal(
    codeOf(() => create(node, 'a')),
    'EEXIST',
  );
});

t.test('create: a name in use is EEXIST before any privilege is asked for', async (t) => {
  const vmm = vmmHost();
  create(vmm.openControl(ROOT, 'rw'), 'a');
  t.equal(
    codeOf(() => create(vmm.openControl(user(1000), 'rw'), 'a')),
    'EEXIST',
  );
});

t.test('create: unknown flags are EINVAL before the name is looked up', async (t) => {
  const node = vmmHost().openControl(ROOT, 'rw');
  create(node, 'a');
  t.equal(
    codeOf(() => create(node, 'a', 2)),
    'EINVAL',
  );
});

t.test('create: without privilege only destroy-on-close is allowed, else EPERM', async (t) => {
  const vmm = vmmHost();
  const node = vmm.openControl(user(1000), 'rw');
  t.equal(
    codeOf(() => create(node, 'a')),
    'EPERM',
  );
  t.equal(
    codeOf(() => create(node, 'a', DESTROY_ON_CLOSE)),
    'ok',
  );
  const able = user(1001, { capabilities: new Set(['PRIV_VMM_CREATE']) });
  t.equal(
    codeOf(() => create(vmm.openControl(able, 'rw'), 'b')),
    'ok',
  );
});

t.test('create: EPERM comes before the limit and before the rules of names', async (t) => {
  const vmm = vmmHost({ maxVms: 1 });
  const node = vmm.openControl(user(1000), 'rw');
  create(node, 'a', DESTROY_ON_CLOSE);
  t.equal(
    codeOf(() => create(node, 'b')),
    'EPERM',
  );
  t.equal(
    codeOf(() => create(node, 'b c')),
    'EPERM',
  );
  t.equal(
    codeOf(() => create(node, 'b c', DESTROY_ON_CLOSE)),
    'ENOMEM',
    'the limit, before the name',
  );
});

t.test('create: one VM over hw.vmm.maxvmms of a user is ENOMEM, root included', async (t) => {
  const vmm = vmmHost({ maxVms: 2 });
  const node = vmm.openControl(ROOT, 'rw');
  create(node, 'a');
  create(node, 'b');
  t.equal(
    codeOf(() => create(node, 'c')),
    'ENOMEM',
  );
  const other = vmm.openControl(user(1000), 'rw');
  t.equal(
    codeOf(() => create(other, 'd', DESTROY_ON_CLOSE)),
    'ok',
    'users are counted apart',
  );
  destroy(node, 'a');
  t.equal(
    codeOf(() => create(node, 'c')),
    'ok',
    'destroying makes room',
  );
});

t.test('create: the VMs of a user count in all jails together', async (t) => {
  const vmm = vmmHost({ maxVms: 1 });
  create(vmm.openControl(jailed('one'), 'rw'), 'a');
  t.equal(
    codeOf(() => create(vmm.openControl(jailed('two'), 'rw'), 'b')),
    'ENOMEM',
  );
});

t.test('create: a failed one does not count', async (t) => {
  const vmm = vmmHost({ maxVms: 1 });
  const node = vmm.openControl(ROOT, 'rw');
  for (const name of ['', 'a b', '..', 'a/'])
    t.equal(
      codeOf(() => create(node, name)),
      'EINVAL',
    );
  t.equal(vmm.countOf(0), 0);
  t.equal(
    codeOf(() => create(node, 'a')),
    'ok',
  );
});

t.test('create: names follow the rules of devfs', async (t) => {
  const vmm = vmmHost();
  const node = vmm.openControl(ROOT, 'rw');
  t.equal(
    codeOf(() => create(node, 'a/b')),
    'ok',
  );
  t.equal(
    codeOf(() => create(node, 'a')),
    'EEXIST',
    'a directory is in the way',
  );
  t.equal(
    codeOf(() => create(node, 'a/b/c')),
    'EEXIST',
    'a node is in the way',
  );
  t.equal(
    codeOf(() => create(node, 'x')),
    'ok',
  );
  t.equal(
    codeOf(() => create(node, '/x')),
    'EEXIST',
    'another name, the same node',
  );
  t.equal(
    codeOf(() => destroy(node, '/x')),
    'EINVAL',
    'it is not the name of the VM',
  );
  t.equal(
    codeOf(() => create(node, 'X')),
    'ok',
    'case counts',
  );
  t.strictSame(names(vmm), ['a/b', 'x', 'X']);
});

t.test('create: names are bytes, whether UTF-8 or not', async (t) => {
  const vmm = vmmHost();
  const node = vmm.openControl(ROOT, 'rw');
  t.equal(
    codeOf(() => create(node, Uint8Array.of(0xff))),
    'ok',
  );
  t.equal(
    codeOf(() => create(node, Uint8Array.of(0xfe))),
    'ok',
  );
  t.equal(
    codeOf(() => create(node, Uint8Array.of(0xff))),
    'EEXIST',
  );
  t.equal(
    codeOf(() => destroy(node, Uint8Array.of(0xfe))),
    'ok',
  );
});

t.test('create: a name of 229 bytes is the longest, more is cut', async (t) => {
  const vmm = vmmHost();
  const node = vmm.openControl(ROOT, 'rw');
  create(node, 'n'.repeat(229));
  t.equal(
    codeOf(() => create(node, new Uint8Array(230).fill(0x6e))),
    'EEXIST',
    'cut to the same',
  );
  t.strictSame(names(vmm), ['n'.repeat(229)]);
});

t.test('create: a name that another jail uses is EEXIST although it is not seen', async (t) => {
  const vmm = vmmHost();
  create(vmm.openControl(jailed('one'), 'rw'), 'a');
  const node = vmm.openControl(jailed('two'), 'rw');
  t.strictSame(names(vmm, jailed('two')), []);
  t.equal(
    codeOf(() => create(node, 'a')),
    'EEXIST',
  );
  t.equal(vmm.countOf(0), 1, 'the failed one does not count');
});

t.test('create: a name of an unseen user is EEXIST from the node, after the limit', async (t) => {
  const vmm = vmmHost({ seeOtherUids: false, maxVms: 1 });
  const one = vmm.openControl(user(1000), 'rw');
  const two = vmm.openControl(user(1001), 'rw');
  create(one, 'a', DESTROY_ON_CLOSE);
  t.equal(
    codeOf(() => create(two, 'a')),
    'EPERM',
    'the privilege comes before the node',
  );
  t.equal(
    codeOf(() => create(two, 'a', DESTROY_ON_CLOSE)),
    'EEXIST',
  );
  create(two, 'b', DESTROY_ON_CLOSE);
  t.equal(
    codeOf(() => create(two, 'a', DESTROY_ON_CLOSE)),
    'ENOMEM',
    'the limit comes first',
  );
});

t.test('destroy: a reserved word that is not zero is EINVAL', async (t) => {
  const vmm = vmmHost();
  const node = vmm.openControl(ROOT, 'rw');
  create(node, 'a');
  for (let i = 0; i < 16; i++) {
    const reserved = new Array<number>(16).fill(0);
    reserved[i] = -1;
    const argument = vmmctl_vm_destroy.encode({ name: NAME, reserved });
    t.equal(
      codeOf(() => node.ioctl(VMMCTL_VM_DESTROY, argument)),
      'EINVAL',
    );
  }
  t.strictSame(names(vmm), ['a']);
});

t.test('destroy: what is not there is EINVAL, never ENOENT', async (t) => {
  const node = vmmHost().openControl(ROOT, 'rw');
  t.equal(
    codeOf(() => destroy(node, 'a')),
    'EINVAL',
  );
  create(node, 'a');
  destroy(node, 'a');
  t.equal(
    codeOf(() => destroy(node, 'a')),
    'EINVAL',
  );
});

t.test('destroy: what the caller does not see is EINVAL', async (t) => {
  const vmm = vmmHost();
  create(vmm.openControl(jailed('one'), 'rw'), 'a');
  t.equal(
    codeOf(() => destroy(vmm.openControl(jailed('two'), 'rw'), 'a')),
    'EINVAL',
  );
  t.equal(
    codeOf(() => destroy(vmm.openControl(jailed('one/in'), 'rw'), 'a')),
    'EINVAL',
  );
});

t.test('destroy: another user\u2019s VM needs the privilege, else EPERM', async (t) => {
  const vmm = vmmHost();
  create(vmm.openControl(user(1000), 'rw'), 'a', DESTROY_ON_CLOSE);
  t.equal(
    codeOf(() => destroy(vmm.openControl(user(1001), 'rw'), 'a')),
    'EPERM',
  );
  const able = user(1001, { capabilities: new Set(['PRIV_VMM_DESTROY']) });
  t.equal(
    codeOf(() => destroy(vmm.openControl(able, 'rw'), 'a')),
    'ok',
  );
});

t.test('destroy: the creator needs no privilege, also on another descriptor', async (t) => {
  const vmm = vmmHost();
  create(vmm.openControl(user(1000), 'rw'), 'a', DESTROY_ON_CLOSE);
  t.equal(
    codeOf(() => destroy(vmm.openControl(user(1000), 'rw'), 'a')),
    'ok',
  );
});

t.test('destroy: the same user in another jail needs the privilege, else EPERM', async (t) => {
  const vmm = vmmHost();
  const inside = user(1000, { jail: 'one' });
  create(vmm.openControl(inside, 'rw'), 'a', DESTROY_ON_CLOSE);
  t.equal(
    codeOf(() => destroy(vmm.openControl(user(1000), 'rw'), 'a')),
    'EPERM',
  );
  t.equal(
    codeOf(() => destroy(vmm.openControl(ROOT, 'rw'), 'a')),
    'ok',
  );
});

t.test('destroy: before 2026-02 nothing is asked beside the node\u2019s mode', async (t) => {
  const vmm = vmmHost({ release: '2025-11' });
  create(vmm.openControl(jailed('one'), 'rw'), 'a');
  t.equal(
    codeOf(() => destroy(vmm.openControl(ROOT, 'rw'), 'a')),
    'ok',
  );
});

t.test('destroy: open nodes of the VM do not hinder it', async (t) => {
  const vmm = vmmHost();
  const node = vmm.openControl(ROOT, 'rw');
  create(node, 'a');
  vmm.openVm('a', ROOT, 'rw');
  t.equal(
    codeOf(() => destroy(node, 'a')),
    'ok',
  );
});

t.test('close: VMs stay, unless they were created with destroy-on-close', async (t) => {
  const vmm = vmmHost();
  const node = vmm.openControl(ROOT, 'rw');
  create(node, 'stays');
  create(node, 'goes', DESTROY_ON_CLOSE);
  create(node, 'goes-too', DESTROY_ON_CLOSE);
  t.strictSame(
    vmm.visible(ROOT).map(({ lifetime }) => lifetime),
    ['persistent', 'ephemeral', 'ephemeral'],
  );
  node.close();
  t.strictSame(names(vmm), ['stays']);
  t.equal(vmm.countOf(0), 1);
});

t.test('close: each descriptor has its own VMs', async (t) => {
  const vmm = vmmHost();
  const one = vmm.openControl(ROOT, 'rw');
  const two = vmm.openControl(ROOT, 'rw');
  create(one, 'a', DESTROY_ON_CLOSE);
  create(two, 'b', DESTROY_ON_CLOSE);
  create(one, 'c', DESTROY_ON_CLOSE);
  one.close();
  t.strictSame(names(vmm), ['b']);
  two.close();
  t.strictSame(names(vmm), []);
});

t.test('close: a VM that was destroyed in between is passed over', async (t) => {
  const vmm = vmmHost();
  const one = vmm.openControl(ROOT, 'rw');
  const two = vmm.openControl(ROOT, 'rw');
  create(one, 'a', DESTROY_ON_CLOSE);
  create(one, 'b', DESTROY_ON_CLOSE);
  destroy(two, 'a');
  create(two, 'a');
  one.close();
  t.strictSame(names(vmm), ['a'], 'another one with its name is not touched');
});

t.test('close: a second close does nothing', async (t) => {
  const vmm = vmmHost();
  const node = vmm.openControl(ROOT, 'rw');
  create(node, 'a', DESTROY_ON_CLOSE);
  node.close();
  create(vmm.openControl(ROOT, 'rw'), 'a');
  node.close();
  t.strictSame(names(vmm), ['a']);
});

t.test('close: an unprivileged user\u2019s VM needs no privilege to end', async (t) => {
  const vmm = vmmHost();
  const node = vmm.openControl(user(1000), 'rw');
  create(node, 'a', DESTROY_ON_CLOSE);
  node.close();
  t.strictSame(names(vmm), []);
  t.equal(vmm.countOf(1000), 0);
});

t.test('draft: a VM is destroyed on close unless its flag says that it stays', async (t) => {
  const vmm = vmmHost({ profile: 'draft' });
  const node = vmm.openControl(ROOT, 'rw');
  create(node, 'goes');
  create(node, 'stays', 1);
  t.strictSame(
    vmm.visible(ROOT).map(({ lifetime }) => lifetime),
    ['ephemeral', 'persistent'],
  );
  node.close();
  t.strictSame(names(vmm), ['stays']);
});

t.test('draft: a name without a terminator is EINVAL for create and destroy', async (t) => {
  const vmm = vmmHost({ profile: 'draft' });
  const node = vmm.openControl(ROOT, 'rw');
  const full = new Uint8Array(230).fill(0x61);
  t.equal(
    codeOf(() => create(node, full)),
    'EINVAL',
  );
  t.equal(
    codeOf(() => destroy(node, full)),
    'EINVAL',
  );
  t.equal(
    codeOf(() => create(node, 'a'.repeat(229))),
    'ok',
  );
});

t.test('draft: other flags and reserved words are EINVAL', async (t) => {
  const node = vmmHost({ profile: 'draft' }).openControl(ROOT, 'rw');
  t.equal(
    codeOf(() => create(node, 'a', 2)),
    'EINVAL',
  );
  const argument = vmmctl_vm_create.encode({ name: NAME, reserved: [1] });
  t.equal(
    codeOf(() => node.ioctl(VMMCTL_VM_CREATE, argument)),
    'EINVAL',
  );
});

t.test('draft: without privilege a VM that stays is EPERM', async (t) => {
  const node = vmmHost({ profile: 'draft' }).openControl(user(1000), 'rw');
  t.equal(
    codeOf(() => create(node, 'a', 1)),
    'EPERM',
  );
  t.equal(
    codeOf(() => create(node, 'a')),
    'ok',
  );
});

t.test('the table has a row for each ioctl of the node, by its number', async (t) => {
  const rows = [...CONTROL_IOCTLS].map(([number, { name, direction }]) => [
    number,
    name,
    direction,
  ]);
  t.strictSame(rows, [
    [VMMCTL_VM_CREATE, 'VMMCTL_VM_CREATE', 'inout'],
    [VMMCTL_VM_DESTROY, 'VMMCTL_VM_DESTROY', 'inout'],
  ]);
});
