import t from 'tap';
import { VMMDevReqGuestCapabilities2 } from '../../../../../src/core/abi/vmmdev-requests.js';
import { grouped } from '../../../../../src/core/simulator/vbox/device/log.js';
import { Rig } from '../../../../helpers/vmmdev.js';

function say(rig: Rig, text: string): void {
  for (const byte of new TextEncoder().encode(text)) rig.device.writeLog(byte);
}

t.test('bytes of the log port become lines; empty ones are left out', async (t) => {
  const rig = new Rig();
  say(rig, '\nhello\r\n\n\rwörld\nnot yet');
  t.same(rig.lines, ['VMMDev: Guest Log: hello', 'VMMDev: Guest Log: wörld']);
});

t.test('a line of over 511 bytes is cut in pieces', async (t) => {
  const rig = new Rig();
  say(rig, `${'a'.repeat(511)}\n${'b'.repeat(1023)}\n`);
  t.same(
    rig.lines.map((line) => line.length - 'VMMDev: Guest Log: '.length),
    [511, 511, 511, 1],
  );
});

t.test('the port may be disabled', async (t) => {
  const rig = new Rig({ config: { backdoorLogDisabled: true } });
  say(rig, 'hello\n');
  t.same(rig.lines, []);
});

t.test('it works before the guest has reported itself', async (t) => {
  const rig = new Rig({ reported: false });
  say(rig, 'boot\n');
  t.same(rig.lines, ['VMMDev: Guest Log: boot']);
});

t.test("a guest can't flood the log, by the port or by requests", async (t) => {
  const rig = new Rig();
  for (let i = 0; i < 5000; i++) say(rig, 'x\n');
  for (let i = 0; i < 5000; i++) {
    rig.ask('VMMDevReq_SetGuestCapabilities', VMMDevReqGuestCapabilities2, {});
  }
  t.equal(rig.lines.length, 199, 'the report of the guest was the first');
  rig.pass(100);
  say(rig, 'y\n');
  t.same(rig.lines.slice(199), [
    'VMMDev: 9801 lines of the guest are left out',
    'VMMDev: Guest Log: y',
  ]);
  rig.pass(3_600_000);
  for (let i = 0; i < 5000; i++) say(rig, 'z\n');
  t.equal(rig.lines.length, 401, 'quiet times are not saved up');
});

t.test('numbers are grouped by three digits', async (t) => {
  t.same([0, 999, 1000, 4e9].map(grouped), ['0', '999', '1 000', '4 000 000 000']);
});
