import t from 'tap';
import { VBOX_STATUS } from '../../../../../src/core/abi/vbox-err.js';
import { VMMDEV_REQUEST_TYPE } from '../../../../../src/core/abi/vmmdev.js';
import {
  VMMDevPowerStateRequest,
  VMMDevReportGuestInfo2,
  VMMDevReportGuestStatus,
  VMMDevReportGuestUserState,
  VMMDevReqGuestCapabilities,
  VMMDevReqGuestCapabilities2,
  VMMDevReqHostTime,
  VMMDevReqLogString,
  VMMDevReqSessionId,
  VMMDevReqWriteCoreDump,
} from '../../../../../src/core/abi/vmmdev-requests.js';
import { Rig } from '../../../../helpers/vmmdev.js';

const {
  VERR_ACCESS_DENIED,
  VERR_INVALID_PARAMETER,
  VERR_INVALID_UTF8_ENCODING,
  VERR_NOT_IMPLEMENTED,
  VERR_NOT_SUPPORTED,
  VERR_OUT_OF_RANGE,
  VERR_OUT_OF_RESOURCES,
  VERR_PATH_NOT_FOUND,
  VERR_TOO_MUCH_DATA,
  VERR_VERSION_MISMATCH,
  VINF_SUCCESS,
} = VBOX_STATUS;

const ASCII = new TextEncoder();

function additions(rig: Rig, version: string, name: string, features = 1): number {
  const [additionsMajor = 0, additionsMinor = 0, additionsBuild = 0] = version
    .split('.')
    .map(Number);
  const szName = new Uint8Array(128);
  szName.set(ASCII.encode(name));
  return rig.ask('VMMDevReq_ReportGuestInfo2', VMMDevReportGuestInfo2, {
    guestInfo: {
      additionsMajor,
      additionsMinor,
      additionsBuild,
      additionsRevision: 127566,
      additionsFeatures: features,
      szName,
    },
  }).rc;
}

function status(rig: Rig, facility: number, value: number): number {
  return rig.ask('VMMDevReq_ReportGuestStatus', VMMDevReportGuestStatus, {
    guestStatus: { facility, status: value, flags: 0 },
  }).rc;
}

t.test('request 50: version 1.0 to 1.4 of the interface unlocks the device', async (t) => {
  for (const [version, rc] of [
    [0x10000, VINF_SUCCESS],
    [0x10004, VINF_SUCCESS],
    [0x10005, VERR_VERSION_MISMATCH],
    [0x20004, VERR_VERSION_MISMATCH],
    [0x00004, VERR_VERSION_MISMATCH],
    [0xffffffff, VERR_VERSION_MISMATCH],
  ] as const) {
    const rig = new Rig({ reported: false });
    t.equal(rig.report(version), rc, version.toString(16));
    t.equal(rig.device.guest.isReady, rc === VINF_SUCCESS);
  }
});

t.test('request 50: a version that does not fit locks it again', async (t) => {
  const rig = new Rig();
  rig.report(0x20000);
  t.equal(rig.ask('VMMDevReq_GetSessionId', VMMDevReqSessionId).rc, VERR_NOT_SUPPORTED);
});

t.test('request 50: is logged when it says something new', async (t) => {
  const rig = new Rig({ reported: false });
  rig.report();
  rig.report();
  rig.report(0x10004, 0x53000);
  rig.report(0x10004, 0x12345678);
  const text = 'VMMDev: Guest Additions information report: Interface = 0x00010004 osType = ';
  t.same(rig.lines, [
    `${text}0x00053100 (Linux >= 2.6, 64-bit)`,
    `${text}0x00053000 (Linux >= 2.6, 32-bit)`,
    `${text}0x12345678 (unknown, 32-bit)`,
  ]);
  t.equal(rig.device.guest.osType, 0x12345678);
});

t.test('request 58: is logged and kept', async (t) => {
  const rig = new Rig({ reported: false });
  t.equal(additions(rig, '6.0.0', '6.0.0'), VINF_SUCCESS);
  t.same(rig.lines, ["VMMDev: Guest Additions information report: Version 6.0.0 r127566 '6.0.0'"]);
  t.same(rig.device.guest.additions, {
    major: 6,
    minor: 0,
    build: 0,
    revision: 127566,
    tags: '',
    hasRequestor: true,
  });
  t.equal(additions(rig, '6.1.36', '6.1.36', 0), VINF_SUCCESS);
  t.equal(rig.device.guest.additions?.hasRequestor, false);
});

t.test('request 58: the version has to be 3 or newer, and to fit in 32 bits', async (t) => {
  const rig = new Rig();
  t.equal(additions(rig, '2.9.9', '2.9.9'), VERR_INVALID_PARAMETER);
  t.equal(additions(rig, '256.0.0', '256.0.0'), VERR_OUT_OF_RANGE);
  t.equal(additions(rig, '6.256.0', '6.256.0'), VERR_OUT_OF_RANGE);
  t.equal(additions(rig, '6.0.65536', '6.0.65536'), VERR_OUT_OF_RANGE);
  t.equal(rig.device.guest.additions, null);
});

t.test('request 58: the name begins with the version, and tags may follow', async (t) => {
  for (const [name, rc] of [
    ['6.0.0_OSE', VINF_SUCCESS],
    ['6.0.0_RC2', VINF_SUCCESS],
    ['6.0.0_BETA', VINF_SUCCESS],
    ['6.0.0_ALPHA255_Debian', VINF_SUCCESS],
    ['6.0.0_[a](b){c}+-.,', VINF_SUCCESS],
    ['6.0.0_RC256_Debian', VERR_INVALID_PARAMETER],
    ['6.0.0_Debian_RC1', VERR_INVALID_PARAMETER],
    ['6.0.0_RC1_a_b', VERR_INVALID_PARAMETER],
    ['6.0.0_ü', VERR_INVALID_PARAMETER],
    ['6.0.0-OSE', VERR_INVALID_PARAMETER],
    ['6.0.0x_OSE', VERR_INVALID_PARAMETER],
    ['6.0.1', VERR_INVALID_PARAMETER],
    ['', VERR_INVALID_PARAMETER],
    ['x'.repeat(128), VERR_INVALID_PARAMETER],
    [`6.0.0_${'x'.repeat(122)}`, VERR_INVALID_PARAMETER],
  ] as const) {
    t.equal(additions(new Rig(), '6.0.0', name), rc, name);
  }
});

t.test('request 58: before 4.1.50 tags that make no sense are left out', async (t) => {
  const rig = new Rig();
  t.equal(additions(rig, '4.1.49', '4.1.49 whatever'), VINF_SUCCESS);
  t.equal(rig.device.guest.additions?.tags, '');
  t.equal(
    rig.lines[1],
    "VMMDev: ReportGuestInfo2: Ignoring unparsable version name bits: ' whatever' -> ''.",
  );
  t.equal(additions(rig, '4.0.99', '4.0.99_RC1_ß'), VINF_SUCCESS);
  t.equal(rig.device.guest.additions?.tags, '_RC1');
  t.equal(additions(rig, '4.1.50', '4.1.50 whatever'), VERR_INVALID_PARAMETER);
  t.equal(additions(rig, '4.2.0', '4.2.0 whatever'), VERR_INVALID_PARAMETER);
});

t.test('request 59: facilities are kept by number', async (t) => {
  const rig = new Rig();
  t.equal(status(rig, 20, 50), VINF_SUCCESS);
  t.equal(status(rig, 90, 1), VINF_SUCCESS);
  const { facilities } = rig.device.guest;
  t.same(
    facilities.map(({ facility, status: value }) => [facility, value]),
    [
      [20, 50],
      [90, 1],
      [100, 0],
      [101, 0],
      [1000, 0],
      [1100, 0],
    ],
  );
  t.equal(facilities[0]?.reportedAtMs, Date.UTC(2026, 0, 1));
});

t.test('request 59: numbers that make no sense are refused', async (t) => {
  const rig = new Rig();
  t.equal(status(rig, 0, 50), VERR_INVALID_PARAMETER);
  t.equal(status(rig, 0x7fffffff, 50), VERR_INVALID_PARAMETER);
  t.equal(status(rig, 20, 0x10000), VERR_OUT_OF_RANGE);
  t.equal(status(rig, 20, 0xffff), VINF_SUCCESS);
});

t.test('request 59: 0x7ffffffe means all of them', async (t) => {
  const rig = new Rig();
  t.equal(status(rig, 0x7ffffffe, 101), VINF_SUCCESS);
  t.ok(rig.device.guest.facilities.every(({ status: value }) => value === 101));
  t.equal(rig.device.guest.facilities.length, 5);
});

t.test('request 59: there is room for 32, and an inactive one gives its place', async (t) => {
  const rig = new Rig();
  for (let i = 0; i < 27; i++) t.equal(status(rig, 200 + i, 50), VINF_SUCCESS);
  t.equal(status(rig, 500, 50), VERR_OUT_OF_RESOURCES);
  t.match(rig.lines, ['VMMDev: Facility table is full - facility=500 status=50']);
  t.equal(status(rig, 210, 0), VINF_SUCCESS);
  t.equal(status(rig, 500, 50), VINF_SUCCESS);
  const numbers = rig.device.guest.facilities.map(({ facility }) => facility);
  t.notOk(numbers.includes(210));
  t.equal(numbers.length, 32);
  for (let i = 0; i < 100; i++) status(rig, 600 + i, 50);
  t.equal(rig.lines.length, 10);
});

t.test('the run level follows the facilities', async (t) => {
  const rig = new Rig();
  const levels = [rig.device.guest.runLevel];
  for (const facility of [20, 100, 101]) {
    status(rig, facility, 50);
    levels.push(rig.device.guest.runLevel);
  }
  t.same(levels, [0, 1, 2, 3]);
});

t.test(
  'requests 55 and 56: capabilities are a mask, and the old request can do graphics',
  async (t) => {
    const rig = new Rig();
    const masks = (u32OrMask: number, u32NotMask: number) =>
      rig.ask('VMMDevReq_SetGuestCapabilities', VMMDevReqGuestCapabilities2, {
        u32OrMask,
        u32NotMask,
      }).rc;
    t.equal(masks(0, 0xffffffff), VINF_SUCCESS);
    t.equal(masks(3, 2), VINF_SUCCESS);
    t.equal(rig.device.guest.capabilities, 1);
    const caps = (value: number) =>
      rig.ask('VMMDevReq_ReportGuestCapabilities', VMMDevReqGuestCapabilities, { caps: value }).rc;
    t.equal(caps(2), VINF_SUCCESS);
    t.equal(caps(2), VINF_SUCCESS);
    t.equal(rig.device.guest.capabilities, 6);
    const text = 'VMMDev: Guest Additions capability report';
    t.same(rig.lines, [
      `${text}: (0x0 -> 0x0) seamless: no, hostWindowMapping: no, graphics: no`,
      `${text}: (0x0 -> 0x1) seamless: yes, hostWindowMapping: no, graphics: no`,
      `${text} (legacy): (0x6) seamless: no, hostWindowMapping: yes, graphics: yes`,
    ]);
  },
);

t.test('request 217: the session changes with a reset', async (t) => {
  const rig = new Rig();
  const session = () =>
    VMMDevReqSessionId.decode(rig.ask('VMMDevReq_GetSessionId', VMMDevReqSessionId).bytes)
      .idSession;
  const before = session();
  t.equal(session(), before);
  rig.device.reset();
  rig.report();
  t.not(session(), before);
});

t.test('request 10: the time is the host wall clock, unless it is disabled', async (t) => {
  const rig = new Rig();
  rig.pass(1234);
  const { bytes } = rig.ask('VMMDevReq_GetHostTime', VMMDevReqHostTime);
  t.equal(VMMDevReqHostTime.decode(bytes).time, BigInt(Date.UTC(2026, 0, 1) + 1234));
  const disabled = new Rig({ config: { getHostTimeDisabled: true } });
  t.equal(disabled.ask('VMMDevReq_GetHostTime', VMMDevReqHostTime).rc, VERR_NOT_SUPPORTED);
});

t.test('request 30: what the guest wants of its VM is logged and kept for its owner', async (t) => {
  const rig = new Rig();
  const power = (powerState: number) =>
    rig.ask('VMMDevReq_SetPowerStatus', VMMDevPowerStateRequest, { powerState }).rc;
  const wishes = [1, 2, 3].map((state) => [power(state), rig.device.guest.powerRequest]);
  t.same(wishes, [
    [VINF_SUCCESS, 'pause'],
    [VINF_SUCCESS, 'power-off'],
    [VINF_SUCCESS, 'save-state'],
  ]);
  t.equal(power(0), VERR_INVALID_PARAMETER);
  t.equal(power(4), VERR_INVALID_PARAMETER);
  t.same(rig.lines, [
    'VMMDev: Guest requests the VM to be suspended (paused)',
    'VMMDev: Guest requests the VM to be turned off',
    'VMMDev: Guest requests the VM to be saved and powered off',
  ]);
});

t.test('request 30: saving may be declined', async (t) => {
  const rig = new Rig({ config: { allowGuestToSaveState: false } });
  const { rc } = rig.ask('VMMDevReq_SetPowerStatus', VMMDevPowerStateRequest, { powerState: 3 });
  t.equal(rc, VERR_ACCESS_DENIED);
  t.same(rig.lines, ['VMMDev: Guest requests the VM to be saved and powered off, declined']);
  t.equal(rig.device.guest.powerRequest, null);
});

t.test('request 74: the parts of a report have to fit, to end, and to be UTF-8', async (t) => {
  const report = (user: Uint8Array, domain: string, details: number, change: object = {}) => {
    const rest = new Uint8Array(Math.max(4, user.length + domain.length + details));
    rest.set(user);
    rest.set(ASCII.encode(domain), user.length);
    const cb = { cbUser: user.length, cbDomain: domain.length, cbDetails: details };
    const status = { state: 1, ...cb, ...change };
    return new Rig().ask(
      'VMMDevReq_ReportGuestUserState',
      VMMDevReportGuestUserState,
      { status },
      rest,
    ).rc;
  };
  const name = ASCII.encode('joe\0');
  t.equal(report(name, '', 0), VINF_SUCCESS);
  t.equal(report(name, 'home\0', 7), VINF_SUCCESS);
  t.equal(report(name, '', 0, { cbUser: 0 }), VERR_INVALID_PARAMETER);
  t.equal(report(name, '', 0, { cbUser: 5 }), VERR_INVALID_PARAMETER);
  t.equal(report(name, 'home', 0), VERR_INVALID_PARAMETER, 'a domain without an end');
  t.equal(report(ASCII.encode('joey'), '', 0), VERR_INVALID_PARAMETER, 'a user without an end');
  t.equal(report(name, '', 0, { cbDetails: 1 }), VERR_INVALID_PARAMETER);
  t.equal(report(name, '', 0, { cbUser: 257 }), VERR_TOO_MUCH_DATA);
  t.equal(report(name, '', 0, { cbDomain: 257 }), VERR_TOO_MUCH_DATA);
  t.equal(report(name, '', 0, { cbDetails: 1025 }), VERR_TOO_MUCH_DATA);
  t.equal(report(name, '', 0, { cbDetails: 0xffffffff }), VERR_TOO_MUCH_DATA);
  t.equal(report(name, '', 2100, { cbDetails: 0 }), VERR_TOO_MUCH_DATA);
  t.equal(report(Uint8Array.of(0xff, 0), '', 0), VERR_INVALID_UTF8_ENCODING);
});

t.test('request 200: only a debug build knows LogString', async (t) => {
  const say = (rig: Rig, text: string) =>
    rig.ask('VMMDevReq_LogString', VMMDevReqLogString, {}, ASCII.encode(text)).rc;
  t.equal(say(new Rig(), 'abc\0'), VERR_NOT_IMPLEMENTED);
  const debug = new Rig({ config: { logString: true } });
  t.equal(say(debug, 'abc\0'), VINF_SUCCESS);
  t.equal(say(debug, 'abcd'), VERR_INVALID_PARAMETER, 'it has to end');
  t.equal(say(debug, 'ab\0'), VERR_INVALID_PARAMETER, 'the struct has 28 bytes');
  t.same(debug.lines, ['DEBUG LOG: abc']);
});

t.test('request 218: a core dump is denied, or has no directory', async (t) => {
  const dump = (rig: Rig) => rig.ask('VMMDevReq_WriteCoreDump', VMMDevReqWriteCoreDump).rc;
  t.equal(dump(new Rig({ reported: false })), VERR_ACCESS_DENIED);
  t.equal(dump(new Rig({ config: { guestCoreDumpEnabled: true } })), VERR_PATH_NOT_FOUND);
});

t.test('request 221: NtBugCheck is taken with and without data', async (t) => {
  const rig = new Rig();
  const number = VMMDEV_REQUEST_TYPE.VMMDevReq_NtBugCheck;
  t.equal(rig.send(number, new Uint8Array(64)).rc, VINF_SUCCESS);
  t.same(rig.lines, []);
  t.equal(rig.send(number, new Uint8Array(24)).rc, VINF_SUCCESS);
  t.same(rig.lines, ['VMMDev: NT BugCheck w/o data.']);
  t.equal(rig.send(number, new Uint8Array(32)).rc, VERR_INVALID_PARAMETER);
});

t.test('a reset forgets what the guest told', async (t) => {
  const rig = new Rig();
  additions(rig, '6.0.0', '6.0.0');
  status(rig, 20, 50);
  rig.device.reset();
  const { isReady, interfaceVersion, osType, additions: version, runLevel } = rig.device.guest;
  t.same([isReady, interfaceVersion, osType, version, runLevel], [false, null, null, null, 0]);
  t.equal(rig.device.guest.capabilities, 0);
});
