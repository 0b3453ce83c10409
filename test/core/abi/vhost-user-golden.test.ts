/** vhost-user and the split virtqueue against golden values; those of QEMU's text have `__doc` behind their names. */
import t from 'tap';
import * as vhostUser from '../../../src/core/abi/vhost-user.js';
import * as ring from '../../../src/core/abi/virtio-ring.js';
import { compareStruct, isLayout, readGolden } from '../../helpers/golden.js';

const golden = readGolden<number>('vsock-abi');

/** Numbers of ours, which are said otherwise there. */
const OUR_OWN = new Set([
  'VHOST_USER_HDR_VERSION_MASK',
  'VHOST_USER_MEM_TABLE_MAX',
  'VHOST_USER_CONFIG_MAX',
  'VIRTQUEUE_SIZE_MAX',
]);
/** Structs that the golden values have not, or as a whole: see below. */
const HEADS = new Set(['vhost_user_mem_table', 'vhost_user_log']);

for (const [title, module] of [
  ['vhost-user', vhostUser],
  ['the virtqueue', ring],
] as const) {
  t.test(`every number and struct of ${title} is as it is written`, async (t) => {
    for (const [name, value] of Object.entries(module)) {
      if (typeof value === 'number' && !OUR_OWN.has(name)) {
        t.equal(value, golden.constants[name] ?? golden.constants[`${name}__doc`], name);
      }
      if (!isLayout(value) || HEADS.has(value.name)) continue;
      const struct = golden.structs[value.name];
      if (struct === undefined) {
        t.fail(`${value.name} has no golden struct`);
        continue;
      }
      // Rings of any length have no size of their own.
      const fields = struct.fields.filter(({ size }) => size > 0);
      t.strictSame(compareStruct(value, { ...struct, fields }), [], value.name);
    }
  });
}

t.test('a table of memory is its head and its regions', async (t) => {
  const { vhost_user_mem_table: head, vhost_user_mem_region: region } = vhostUser;
  const whole = golden.structs.vhost_user_mem_table_max8;
  t.equal(head.size + vhostUser.VHOST_USER_MEM_TABLE_MAX * region.size, whole?.size);
  t.equal(head.size, whole?.fields.find(({ name }) => name === 'regions')?.offset);
});

t.test('a log is two words, its size and where it begins', async (t) => {
  // QEMU docs/interop/vhost-user.rst, "Log description".
  const message = vhostUser.vhost_user_log.encode({ mmap_size: 1n, mmap_offset: 2n });
  t.same([...new BigUint64Array(message.slice().buffer)], [1n, 2n]);
});

t.test('the parts of a queue have the sizes of virtio 1.2, section 2.7', async (t) => {
  t.same(ring.vringSizes(256), { desc: 4096, avail: 518, used: 2054 });
  t.same(ring.vringSizes(1), { desc: 16, avail: 8, used: 14 });
});

t.test(
  'who asked to be told at an index is told when it is passed, also over the end',
  async (t) => {
    for (const [event, now, old, wanted] of [
      [0, 1, 0, true],
      [0, 2, 1, false],
      [5, 5, 0, false],
      [5, 6, 0, true],
      [5, 6, 6, false],
      [0xffff, 0, 0xfffe, true],
      [0xffff, 0xffff, 0xfffe, false],
      [0, 1, 0xffff, true],
    ] as const) {
      t.equal(ring.vringNeedEvent(event, now, old), wanted, `${event} from ${old} to ${now}`);
    }
  },
);
