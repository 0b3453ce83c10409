/** The balloon's worker: chunk by chunk, up to what the host wants or as far as it goes. */
import t from 'tap';
import { VBOX_STATUS } from '../../../../../src/core/abi/vbox-err.js';
import { type OpenNode, ROOT } from '../../../../../src/core/simulator/node.js';
import { argument, Call, realGuest, startedGuest } from './guest.js';

const MIB = 1024 * 1024;
const BALLOON = 0x40;

/** The pages of each chunk that the host was told of, with whether it was given to it. */
function changes(guest: ReturnType<typeof startedGuest>) {
  return guest.device.of('VMMDevReq_ChangeMemBalloon').map(({ bytes }) => {
    const view = new DataView(bytes.buffer);
    const pages = Array.from({ length: 256 }, (_, i) =>
      Number(view.getBigUint64(32 + 8 * i, true)),
    );
    return { size: bytes.length, count: view.getUint32(24, true), inflate: bytes[28] === 1, pages };
  });
}

function chunksSeen(node: OpenNode): number {
  return new Call(node, 0xc0205611, argument([], { sizeIn: 24, sizeOut: 32 })).word(24);
}

t.test('inflate: 256 pages a chunk, one chunk a millisecond', async (t) => {
  const guest = startedGuest();
  const { driver, device, pages, advance, node } = guest;
  const { free } = pages;
  device.balloonChunks = 3;
  device.raise(BALLOON);
  t.equal(driver.balloonChunks, 0, 'not in the interrupt');
  advance(0);
  t.strictSame(device.types(), [41, 111]);
  advance(1);
  t.equal(driver.balloonChunks, 1);
  advance(1);
  t.equal(driver.balloonChunks, 2);
  advance(10);
  t.equal(driver.balloonChunks, 3);
  t.equal(chunksSeen(node), 3);
  const told = changes(guest);
  t.equal(told.length, 3);
  t.ok(told.every(({ size, count, inflate }) => size === 2080 && count === 256 && inflate));
  const all = told.flatMap((change) => change.pages);
  t.equal(new Set(all).size, 3 * 256, 'no page twice');
  t.ok(all.every((address) => address % 4096 === 0 && address < pages.size));
  t.equal(pages.free, free - 3 * MIB);
});

t.test('inflate: the host is asked with event_ack 0x40, as the kernel', async (t) => {
  const { device, advance } = startedGuest();
  device.raise(BALLOON);
  advance(0);
  const [seen] = device.of('VMMDevReq_GetMemBalloonChangeRequest');
  t.equal(new DataView(seen?.bytes.buffer ?? new ArrayBuffer(36)).getUint32(32, true), BALLOON);
  t.equal(seen?.requestor, 1);
});

t.test('deflate: from the last chunk down, with the same pages', async (t) => {
  const guest = startedGuest();
  const { driver, device, pages, advance } = guest;
  const { free } = pages;
  device.balloonChunks = 3;
  device.raise(BALLOON);
  advance(100);
  device.balloonChunks = 1;
  device.raise(BALLOON);
  advance(100);
  t.equal(driver.balloonChunks, 1);
  const told = changes(guest);
  t.strictSame(
    told.map(({ inflate }) => inflate),
    [true, true, true, false, false],
  );
  t.strictSame(told[3]?.pages, told[2]?.pages);
  t.strictSame(told[4]?.pages, told[1]?.pages);
  t.equal(pages.free, free - MIB);
});

t.test('the size that it has already changes nothing', async (t) => {
  const guest = startedGuest();
  guest.device.raise(BALLOON);
  guest.advance(100);
  t.strictSame(changes(guest), []);
});

t.test('chunkMs: how long a chunk takes', async (t) => {
  const { driver, device, advance } = startedGuest();
  driver.chunkMs = 100;
  device.balloonChunks = 2;
  device.raise(BALLOON);
  advance(199);
  t.equal(driver.balloonChunks, 1);
  advance(1);
  t.equal(driver.balloonChunks, 2);
});

t.test(
  'inflate: without memory it stops with what it has, and gives back the chunk that it began',
  async (t) => {
    const guest = startedGuest(16 * MIB);
    const { driver, device, pages, advance, deadlines } = guest;
    device.physChunks = 64;
    device.balloonChunks = 64;
    const whole = Math.floor(pages.free / MIB);
    device.raise(BALLOON);
    advance(1000);
    t.equal(driver.balloonChunks, whole);
    t.ok(pages.free < MIB);
    t.equal(changes(guest).length, whole, 'the host is told nothing of the failure');
    t.equal(deadlines.size, 1, 'it does not try again');
  },
);

t.test('inflate: pages that are refused stop it too', async (t) => {
  const guest = startedGuest();
  const { driver, device, pages, advance } = guest;
  device.balloonChunks = 4;
  device.raise(BALLOON);
  advance(2);
  t.equal(driver.balloonChunks, 2);
  pages.refusesPages = true;
  advance(100);
  t.equal(driver.balloonChunks, 2);
  pages.refusesPages = false;
  advance(100);
  t.equal(driver.balloonChunks, 2, 'only an event begins it anew');
  device.raise(BALLOON);
  advance(100);
  t.equal(driver.balloonChunks, 4);
});

t.test('inflate: what the host refuses stops it, its pages are given back', async (t) => {
  const { driver, device, pages, advance, kernelLog } = startedGuest();
  const { free } = pages;
  device.refuse('VMMDevReq_ChangeMemBalloon', VBOX_STATUS.VERR_NO_MEMORY);
  device.balloonChunks = 2;
  device.raise(BALLOON);
  advance(100);
  t.equal(driver.balloonChunks, 0);
  t.equal(pages.free, free);
  t.strictSame(kernelLog, ['vbg_balloon_inflate error, rc: -8']);
  t.equal(device.of('VMMDevReq_ChangeMemBalloon').length, 1);
});

t.test('deflate: what the host refuses stops it', async (t) => {
  const { driver, device, advance, kernelLog } = startedGuest();
  device.balloonChunks = 2;
  device.raise(BALLOON);
  advance(100);
  device.refuse('VMMDevReq_ChangeMemBalloon', VBOX_STATUS.VERR_INVALID_PARAMETER);
  device.balloonChunks = 0;
  device.raise(BALLOON);
  advance(100);
  t.equal(driver.balloonChunks, 2);
  t.strictSame(kernelLog, ['vbg_balloon_deflate error, rc: -2']);
});

t.test('a host that does not tell the size changes nothing', async (t) => {
  const { driver, device, advance, kernelLog } = startedGuest();
  device.refuse('VMMDevReq_GetMemBalloonChangeRequest', VBOX_STATUS.VERR_NOT_SUPPORTED);
  device.raise(BALLOON);
  advance(100);
  t.equal(driver.balloonChunks, 0);
  t.strictSame(kernelLog, ['vbg_balloon_work error, rc: -37']);
});

t.test('more than all memory is told in the log, and nothing changes', async (t) => {
  const { driver, device, advance, kernelLog } = startedGuest();
  device.physChunks = 64;
  device.balloonChunks = 65;
  device.raise(BALLOON);
  advance(100);
  t.equal(driver.balloonChunks, 0);
  t.strictSame(kernelLog, ['vbg_balloon_work: illegal balloon size 65 (max=64)']);
});

t.test('all memory is what the host said the first time', async (t) => {
  const { device, advance, kernelLog } = startedGuest();
  device.physChunks = 10;
  device.raise(BALLOON);
  advance(10);
  device.physChunks = 100;
  device.balloonChunks = 50;
  device.raise(BALLOON);
  advance(10);
  t.strictSame(kernelLog, ['vbg_balloon_work: illegal balloon size 50 (max=10)']);
});

t.test('an event during the work is looked at when the work is done', async (t) => {
  const { driver, device, advance } = startedGuest();
  device.balloonChunks = 10;
  device.raise(BALLOON);
  advance(3);
  device.balloonChunks = 2;
  device.raise(BALLOON);
  device.raise(BALLOON);
  advance(7);
  t.equal(driver.balloonChunks, 10, 'the old size is reached first');
  advance(100);
  t.equal(driver.balloonChunks, 2);
  t.equal(device.of('VMMDevReq_GetMemBalloonChangeRequest').length, 2, 'two events are one look');
});

t.test(
  'stop: the balloon is not deflated, and its memory is lost to the driver that comes next',
  async (t) => {
    const guest = startedGuest();
    const { driver, device, pages, advance } = guest;
    const { free } = pages;
    device.balloonChunks = 3;
    device.raise(BALLOON);
    advance(100);
    driver.stop();
    t.equal(changes(guest).length, 3);
    driver.start();
    t.equal(driver.balloonChunks, 0);
    t.equal(pages.free, free - 3 * MIB);
    driver.reset();
    t.equal(pages.free, free, 'a reboot has it all');
  },
);

t.test('reset: all pages are free again, and work under way ends', async (t) => {
  const { driver, device, pages, advance } = startedGuest();
  const { free } = pages;
  device.balloonChunks = 50;
  device.raise(BALLOON);
  advance(10);
  driver.reset();
  t.equal(driver.balloonChunks, 0);
  t.equal(pages.free, free);
  device.seen.length = 0;
  advance(1000);
  t.strictSame(device.of('VMMDevReq_ChangeMemBalloon'), []);
});

t.test('with no memory left the driver still acknowledges events and deflates', async (t) => {
  const { driver, device, pages, advance } = startedGuest(8 * MIB);
  device.balloonChunks = 3;
  device.raise(BALLOON);
  advance(100);
  while (pages.allocate(4096) !== undefined);
  device.balloonChunks = 0;
  device.raise(BALLOON);
  advance(100);
  t.equal(driver.balloonChunks, 0);
});

t.test('scattered pages come back each to its place', async (t) => {
  const { driver, device, pages, advance } = startedGuest();
  const holes = Array.from({ length: 400 }, () => pages.allocatePage() ?? 0);
  for (const address of holes.filter((_, index) => index % 2 === 0)) pages.releasePage(address);
  const { free } = pages;
  device.balloonChunks = 2;
  device.raise(BALLOON);
  advance(100);
  t.equal(driver.balloonChunks, 2);
  device.balloonChunks = 0;
  device.raise(BALLOON);
  advance(100);
  t.equal(pages.free, free);
});

t.test(
  'the real device: the event comes only when a session asks for it, and never to a program',
  async (t) => {
    const { driver, device, node, advance } = realGuest();
    device.setBalloonTarget(5);
    advance(100);
    t.equal(driver.balloonChunks, 0, 'nobody has enabled bit 6');
    const wait = new Call(node, 0xc020560a, argument([0xffffffff, BALLOON], { sizeOut: 28 }));
    new Call(node, 0xc020560c, argument([BALLOON, 0], { sizeOut: 24 }));
    advance(100);
    t.equal(driver.balloonChunks, 5);
    t.strictSame(device.balloon, { targetChunks: 5, actualChunks: 5 });
    t.equal(wait.code, 'waits');
    device.setBalloonTarget(2);
    advance(100);
    t.strictSame(device.balloon, { targetChunks: 2, actualChunks: 2 });
  },
);

t.test('the real device: the largest balloon that the host may want is reached', async (t) => {
  const { driver, device, node, advance } = realGuest();
  new Call(node, 0xc020560c, argument([BALLOON, 0], { sizeOut: 24 }));
  device.setBalloonTarget(device.maxBalloonChunks);
  advance(10_000);
  t.equal(driver.balloonChunks, device.maxBalloonChunks);
  t.ok(driver.open('vboxuser', ROOT));
});
