/** The interfaces of real nodes against golden values from a C compiler; vbox-golden.test.ts has VirtualBox', vmci.test.ts VMCI's. */
import t from 'tap';
import * as vhost from '../../../src/core/abi/vhost.js';
import * as virtio from '../../../src/core/abi/virtio.js';
import * as balloon from '../../../src/core/abi/virtio-balloon.js';
import { compareStruct, type GoldenAbi, readGolden } from '../../helpers/golden.js';

type Module = Record<string, unknown>;

const vsockGolden = readGolden<number>('vsock-abi');

function numbersOf(module: Module): [string, number][] {
  return Object.entries(module).filter(
    (row): row is [string, number] => typeof row[1] === 'number' && row[0] === row[0].toUpperCase(),
  );
}

/** The value of a name in the golden file. */
function valueIn(golden: GoldenAbi<number | { value: number }>, name: string): number | undefined {
  const ioctl = golden.ioctls[name];
  return golden.constants[name] ?? (typeof ioctl === 'object' ? ioctl.value : ioctl);
}

for (const [title, module, golden, known] of [
  // The headers have them, the golden file has not; headers.test.ts asks the compiler.
  ['vhost', vhost, vsockGolden, ['VHOST_VIRTIO']],
  ['virtio', virtio, vsockGolden, ['VIRTIO_F_SR_IOV']],
  ['the balloon', balloon, vsockGolden, ['VIRTIO_ID_BALLOON']],
] as const) {
  t.test(`every number of ${title} has its value in the header`, async (t) => {
    const numbers = numbersOf(module);
    for (const [name, value] of numbers) {
      if (!known.some((each) => each === name)) t.equal(value, valueIn(golden, name), name);
    }
    t.ok(numbers.length > 0);
  });
}

t.test('the structs of the balloon are laid out as the compiler does it', async (t) => {
  for (const layout of [balloon.virtio_balloon_config, balloon.virtio_balloon_stat]) {
    const golden = vsockGolden.structs[layout.name];
    if (golden === undefined) t.fail(`${layout.name} has no golden struct`);
    else t.strictSame(compareStruct(layout, golden), [], layout.name);
  }
});

t.test('feature bits have names, and those without one have their number', async (t) => {
  const bits = 0x33d000002n;
  const names = virtio.featureNames(bits, {
    ...virtio.VIRTIO_FEATURES,
    VHOST_F_LOG_ALL: vhost.VHOST_F_LOG_ALL,
  });
  t.same(names, [
    'bit 1',
    'VIRTIO_F_NOTIFY_ON_EMPTY',
    'VHOST_F_LOG_ALL',
    'VIRTIO_F_ANY_LAYOUT',
    'VIRTIO_RING_F_INDIRECT_DESC',
    'VIRTIO_RING_F_EVENT_IDX',
    'VIRTIO_F_VERSION_1',
    'VIRTIO_F_ACCESS_PLATFORM',
  ]);
  t.same(virtio.featureNames(0n, {}), []);
});
