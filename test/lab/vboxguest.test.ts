/** Linux' own driver of VirtualBox' guest device, on the simulated device, and beside the simulated driver. */
import t, { type Test } from 'tap';
import { VMMDEV_EVENT, VMMDEV_REQUEST_TYPE } from '../../src/core/abi/vmmdev.js';
import { VMMDevReqMouseStatus } from '../../src/core/abi/vmmdev-display.js';
import { VMMDEV_OSTYPE } from '../../src/core/abi/vmmdev-requests.js';
import { changeFilter } from '../../src/core/client/vmmdev-events.js';
import { until } from '../helpers/host.js';
import { requireV86 } from './v86.js';
import type { SeenRequest } from './v86-vmmdev.js';
import { compareCalls, compareSessions } from './vboxguest-compare.js';
import { testVboxGuest } from './vboxguest-contract.js';
import { bootLabGuest, CONFIG, type LabGuest, simulatedGuest } from './vboxguest-guests.js';

const SYSFS = '/sys/bus/pci/drivers/vboxguest/0000:00:04.0';
const FIVE_MINUTES_MS = 300_000;
const SECOND_MS = 1000;
/** What the driver asks the host when it starts and when it stops, in this order. */
const START = [4, 58, 50, 42, 56, 2, 20, 220, 220, 59];
const STOP = [220, 42, 56, 2];
const BEAT = 219;

t.test("Linux' driver on the simulated device", async (t) => {
  if (!requireV86(t)) return;
  const guest = await bootLabGuest(t);
  await t.test('the lab runs commands', (t) => testCommands(t, guest));
  await t.test('it finds the device', (t) => testStart(t, guest));
  await t.test('its heartbeat', (t) => testHeartbeat(t, guest));
  await t.test('the simulated driver gives the same answers', async (t) => {
    const simulated = simulatedGuest(t);
    t.strictSame(simulated.requests.slice(0, START.length).map(typeOf), START);
    await compareCalls(t, '/dev/vboxguest', guest, simulated);
    await compareCalls(t, '/dev/vboxuser', guest, simulated);
    await t.test('sessions', (t) => compareSessions(t, guest, simulated));
  });
  await t.test('programs of its guest', (t) => testVboxGuest(t, guest));
  await t.test('the pointer', (t) => testPointer(t, guest));
  await t.test('it goes, and comes again', (t) => testUnload(t, guest));
  await t.test('a balloon that takes all', (t) => testLargestBalloon(t, guest));
});

t.test('programs of a simulated guest', (t) => testVboxGuest(t, simulatedGuest(t)));

async function testCommands(t: Test, { lab }: LabGuest): Promise<void> {
  const finished = await lab.run("printf 'out\\n'; echo \"it's err\" >&2; exit 3");
  t.strictSame(finished, { status: 3, stdout: Buffer.from('out\n'), stderr: "it's err\n" });
  await t.rejects(lab.output('exit 1'), /exit 1: status 1/);
  await t.rejects(lab.run('sleep 60', { timeoutMs: 100 }), /no end within 100 ms.*console/s);
}

async function testStart(t: Test, { lab, device, requests, log }: LabGuest): Promise<void> {
  await lab.output('insmod /vboxguest.ko');
  t.match(lab.console, /vboxguest: host-version: 7\.0\.12r159484 0x8000000f/);
  t.match(await lab.output(`cat ${SYSFS}/host_version`), '7.0.12r159484\n');
  t.equal(await lab.output(`cat ${SYSFS}/host_features`), '0x8000000f\n');
  t.equal(await lab.output('ls /dev/vbox*'), '/dev/vboxguest\n/dev/vboxuser\n');
  t.strictSame(requests.slice(0, START.length).map(typeOf), START);
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

function typeOf({ type }: SeenRequest): number {
  return type;
}

/**
 * The driver hands its timer a length of time where that wants a point in time: ticks since five minutes before nought.
 * So a kernel of 32 bits sends nothing in its first five minutes, and every kernel then beats at each tick, whatever
 * the interval is.
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

/** Whoever opens the driver's input device wants positions of the host's pointer. */
async function testPointer(t: Test, { lab, device, requests }: LabGuest): Promise<void> {
  const { VMMDevReq_GetMouseStatus, VMMDevReq_SetMouseStatus } = VMMDEV_REQUEST_TYPE;
  const from = requests.length;
  const last = (wanted: number) => requests.slice(from).findLast(({ type }) => type === wanted);
  const features = () => {
    const request = last(VMMDevReq_SetMouseStatus);
    return request && VMMDevReqMouseStatus.decode(request.bytes).mouseFeatures;
  };
  await lab.output('mkfifo /tmp/stop');
  const reader = lab.run('cat /dev/input/mouse0 >/tmp/moves & read -r line </tmp/stop; kill $!');
  await until('positions are wanted', () => features() === 0x11);
  t.equal(last(VMMDevReq_GetMouseStatus), undefined);
  device.raiseEvents(VMMDEV_EVENT.VMMDEV_EVENT_MOUSE_POSITION_CHANGED);
  await until('the position is fetched', () => last(VMMDevReq_GetMouseStatus) !== undefined);
  await lab.output('echo >/tmp/stop');
  t.equal((await reader).status, 0);
  await until('they are not wanted any more', () => features() === 0);
}

/**
 * The driver takes pages like everybody else: when there are none left, the kernel ends programs for it, and itself in
 * the end. It does not stop with what it has. Timers go on after that, and so does the heartbeat.
 */
async function testLargestBalloon(t: Test, { lab, device, open }: LabGuest): Promise<void> {
  const node = await open('/dev/vboxguest');
  await changeFilter(node, VMMDEV_EVENT.VMMDEV_EVENT_BALLOON_CHANGE_REQUEST, 0);
  device.setBalloonTarget(device.maxBalloonChunks);
  await until('the kernel ends', () => lab.console.includes('end Kernel panic'));
  const [reason] = /Kernel panic.*/.exec(lab.console) ?? [];
  t.equal(reason, 'Kernel panic - not syncing: System is deadlocked on memory');
  t.ok(device.balloon.actualChunks < device.maxBalloonChunks);
  const { beats } = device.heartbeat;
  await until('a beat of the dead', () => device.heartbeat.beats > beats);
}

/** It takes back what it wanted, but not that it is active; and the host keeps its event for calls of services. */
async function testUnload(t: Test, { lab, device, requests }: LabGuest): Promise<void> {
  await lab.output('rmmod vboxguest');
  t.strictSame(requests.slice(-STOP.length).map(typeOf), STOP);
  t.equal(device.heartbeat.state, 'off');
  t.equal(device.guest.runLevel, 1);
  t.equal(device.events.filter, VMMDEV_EVENT.VMMDEV_EVENT_HGCM);
  t.equal((await lab.run('ls /dev/vboxguest')).status, 1);
  await lab.output('insmod /vboxguest.ko');
  const asked = requests.map(typeOf);
  const start = asked.slice(asked.lastIndexOf(4)).filter((type) => type !== BEAT);
  t.strictSame(start, START);
  t.equal(await lab.output(`cat ${SYSFS}/host_version`), '7.0.12r159484\n');
}
