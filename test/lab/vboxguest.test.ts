/** Linux' own driver of VirtualBox' guest device, on the simulated device, and beside the simulated driver. */
import t, { type Test } from 'tap';
import { VMMDEV_OSTYPE } from '../../src/core/abi/vmmdev-requests.js';
import { until } from '../helpers/host.js';
import { requireV86 } from './v86.js';
import { compareCalls, compareSessions } from './vboxguest-compare.js';
import { testVboxGuest } from './vboxguest-contract.js';
import { bootLabGuest, CONFIG, type LabGuest, simulatedGuest } from './vboxguest-guests.js';

const SYSFS = '/sys/bus/pci/drivers/vboxguest/0000:00:04.0';
const FIVE_MINUTES_MS = 300_000;
const SECOND_MS = 1000;
/** What the driver asks the host when it starts, in this order. */
const START = [4, 58, 50, 42, 56, 2, 20, 220, 220, 59];

t.test("Linux' driver on the simulated device", async (t) => {
  if (!requireV86(t)) return;
  const guest = await bootLabGuest(t);
  await t.test('it finds the device', (t) => testStart(t, guest));
  await t.test('its heartbeat', (t) => testHeartbeat(t, guest));
  await t.test('the simulated driver gives the same answers', async (t) => {
    const simulated = simulatedGuest(t);
    await compareCalls(t, '/dev/vboxguest', guest, simulated);
    await compareCalls(t, '/dev/vboxuser', guest, simulated);
    await t.test('sessions', (t) => compareSessions(t, guest, simulated));
  });
  await t.test('programs of its guest', (t) => testVboxGuest(t, guest));
  await t.test('it goes, and comes again', (t) => testUnload(t, guest));
});

t.test('programs of a simulated guest', (t) => testVboxGuest(t, simulatedGuest(t)));

async function testStart(t: Test, { lab, device, requests, log }: LabGuest): Promise<void> {
  await lab.output('insmod /vboxguest.ko');
  t.match(lab.console, /vboxguest: host-version: 7\.0\.12r159484 0x8000000f/);
  t.match(await lab.output(`cat ${SYSFS}/host_version`), '7.0.12r159484\n');
  t.equal(await lab.output(`cat ${SYSFS}/host_features`), '0x8000000f\n');
  t.equal(await lab.output('ls /dev/vbox*'), '/dev/vboxguest\n/dev/vboxuser\n');
  t.strictSame(requests.slice(0, START.length), START);
  t.match(device.guest, {
    isReady: true,
    interfaceVersion: 0x10004,
    osType: VMMDEV_OSTYPE.VMMDEV_OSTYPE_LINUX26,
    additions: { major: 6, minor: 0, build: 0, revision: 127566, hasRequestor: true },
    capabilities: 0,
    runLevel: 1,
  });
  t.equal(device.events.filter, 0x202);
  t.match(log.join('\n'), 'VMMDev: Guest Log: vboxguest: host-version: 7.0.12r159484 0x8000000f');
}

/**
 * The driver hands its timer a length of time where that wants a point in time: ticks since five minutes before nought.
 * So a kernel of 32 bits sends nothing in its first five minutes, and every kernel then beats at each tick, whatever the
 * interval is.
 */
async function testHeartbeat(t: Test, { lab, device, log }: LabGuest): Promise<void> {
  const state = () => device.heartbeat.state;
  const said = (text: string) => log.filter((line) => line.includes(text)).length;
  t.match(lab.console, /heartbeat to trigger every 200 milliseconds/);
  await until('nothing has come', () => state() === 'flatlined');
  t.equal(device.heartbeat.beats, 0);
  lab.skip(FIVE_MINUTES_MS);
  await until('the first beat', () => state() === 'beating');
  t.equal(said('Guest is alive'), 1);
  const before = device.heartbeat.beats;
  const start = performance.now();
  const wanted = Math.ceil((2 * SECOND_MS) / (CONFIG.heartbeatIntervalMs ?? 1));
  await until('twice as many as in a second', () => device.heartbeat.beats >= before + wanted);
  t.comment(`${wanted} beats in ${Math.round(performance.now() - start)} ms`);
  const silences = said('Guest seems to be unresponsive');
  await lab.pause();
  await until('the pause shows', () => state() === 'flatlined');
  t.equal(said('Guest seems to be unresponsive'), silences + 1);
  await lab.resume();
  await until('it is back', () => state() === 'beating');
  t.equal(device.heartbeat.misses, silences + 1);
}

async function testUnload(t: Test, { lab, device, requests }: LabGuest): Promise<void> {
  await lab.output('rmmod vboxguest');
  t.equal(device.heartbeat.state, 'off');
  t.strictSame(requests.slice(-1), [59], 'what it tells last is that it goes');
  t.equal(device.guest.runLevel, 0);
  t.equal(device.events.filter, 0);
  t.equal((await lab.run('ls /dev/vboxguest')).status, 1);
  await lab.output('insmod /vboxguest.ko');
  t.equal(device.guest.runLevel, 1);
  t.equal(await lab.output(`cat ${SYSFS}/host_version`), '7.0.12r159484\n');
}
