/** A guest's own view of its balloon. Bytes are in hex, from the layouts of vboxguest.h. */
import t from 'tap';
import type { Machine } from '../../../src/core/backend/port.js';
import { guestBalloonRecord } from '../../../src/core/client/balloon-record.js';
import { recordedMachine, treeMachine } from '../../helpers/tree-machine.js';

const NOW = Date.parse('2026-01-02T03:04:05.000Z');
const MEMINFO = { '/proc/meminfo': 'MemTotal:  1000 kB\nMemFree:  1 kB\nMemAvailable:  700 kB\n' };
const VIRTIO = '/sys/bus/virtio/drivers/virtio_balloon';

/** _IOWR('V', 17, 32) */
const CHECK_BALLOON = 0xc0205611;
/** size_in 24, version 0x10001, type 0, rc, size_out 32, reserved; then the chunks, handle_in_r3 and padding. */
const asked = `18000000 01000100 00000000 00000000 20000000 00000000 00000000 00000000`;
const answered = (chunks: string, handle = '00') =>
  `18000000 01000100 00000000 00000000 20000000 00000000 ${chunks} ${handle}000000`;
const bare = (hex: string) => hex.replaceAll(' ', '');

function virtualBox(chunks: string, handle?: string) {
  return recordedMachine('/dev/vboxguest', [
    {
      request: CHECK_BALLOON,
      argument: bare(asked),
      answer: bare(answered(chunks, handle)),
    },
  ]);
}

t.test("VirtualBox's driver tells its chunks of 1 MiB", async (t) => {
  const { machine, isDone } = virtualBox('40000000');
  t.same(await guestBalloonRecord(machine, NOW), {
    vm: null,
    memory: null,
    target: null,
    actual: 64 * 2 ** 20,
    unit: 2 ** 20,
    guestStats: null,
  });
  t.ok(isDone(), 'the node is closed');
});

t.test("the guest's memory stands beside it, where there is procfs", async (t) => {
  const { machine } = virtualBox('00000000');
  const { readFile } = treeMachine(t.testdir(), MEMINFO);
  const { guestStats } = await guestBalloonRecord({ ...machine, readFile }, NOW);
  t.match(guestStats, {
    reportedAt: '2026-01-02T03:04:05.000Z',
    memoryTotal: 1000 * 1024,
    memoryAvailable: 700 * 1024,
    cpuUser: null,
  });
});

t.test('a driver that leaves the balloon to a program is not taken for an empty one', async (t) => {
  const { machine, isDone } = virtualBox('00000000', '01');
  await t.rejects(guestBalloonRecord(machine, NOW), { code: 'EOPNOTSUPP' });
  t.ok(isDone(), 'the node is closed');
});

t.test("without VirtualBox's device it is virtio's", async (t) => {
  const files = treeMachine(t.testdir(), {
    ...MEMINFO,
    [`${VIRTIO}/virtio3/features`]: '1000',
    '/proc/vmstat': 'nr_balloon_pages 256\n',
  });
  const auxv = Buffer.alloc(32);
  auxv.writeBigUInt64LE(6n, 0);
  auxv.writeBigUInt64LE(4096n, 8);
  const machine: Machine = {
    ...recordedMachine('/dev/other', []).machine,
    readdir: files.readdir,
    readFile: async (path) => (path === '/proc/self/auxv' ? auxv : files.readFile(path)),
  };
  t.match(await guestBalloonRecord(machine, NOW), {
    actual: 2 ** 20,
    unit: 4096,
    guestStats: { memoryTotal: 1000 * 1024 },
  });
});

t.test('a machine with neither has no balloon, and that is said', async (t) => {
  const { machine } = recordedMachine('/dev/other', []);
  await t.rejects(guestBalloonRecord(machine, NOW), {
    code: 'ENODEV',
    message: 'this machine has no memory balloon',
    hint: /doctor/,
  });
});
