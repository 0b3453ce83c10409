import t from 'tap';
import { VBOX_STATUS } from '../../../../../src/core/abi/vbox-err.js';
import {
  VMMDEV_REQUEST_TYPE,
  VMMDevRequestHeader,
  vmmdevRequestName,
} from '../../../../../src/core/abi/vmmdev.js';
import {
  VMMDevReqHostVersion,
  VMMDevReqIdle,
} from '../../../../../src/core/abi/vmmdev-requests.js';
import { REQUESTS } from '../../../../../src/core/simulator/vbox/device/requests.js';
import { MIB, Rig } from '../../../../helpers/vmmdev.js';

const { VERR_INVALID_PARAMETER, VERR_NOT_IMPLEMENTED, VERR_NOT_SUPPORTED } = VBOX_STATUS;

/** What the host takes, by the structs of VMMDev.h: sizes that are the only ones, or `[least]`. */
const SIZES: Readonly<Record<number, number | readonly [number]>> = {
  1: 36,
  2: 36,
  3: [48],
  4: 40,
  5: [24],
  10: 32,
  20: 32,
  21: 32,
  22: 36,
  23: 36,
  30: 28,
  41: 28,
  42: 32,
  50: 32,
  51: 40,
  52: 40,
  53: 28,
  54: 44,
  55: 28,
  56: 32,
  57: 44,
  58: 168,
  59: 36,
  60: [168],
  61: [36],
  62: [44],
  63: [44],
  64: [32],
  65: [28],
  70: [36],
  71: [24],
  72: [28],
  73: 32,
  74: [44],
  80: 56,
  81: [60],
  100: 412,
  101: 412,
  110: 100,
  111: 36,
  112: 32,
  113: [40],
  150: 32,
  200: [24],
  210: 36,
  211: 28,
  212: [208],
  213: 184,
  214: 24,
  215: 28,
  216: 44,
  217: 32,
  218: 28,
  219: [24],
  220: 36,
  221: 64,
  222: [28],
  223: 48,
};

t.test('every request of the header has a row, and no other', async (t) => {
  const { VMMDevReq_InvalidRequest: _none, ...types } = VMMDEV_REQUEST_TYPE;
  t.same(
    [...REQUESTS.keys()].sort((a, b) => a - b),
    Object.values(types).sort((a, b) => a - b),
  );
  for (const [number, { name }] of REQUESTS) t.equal(name, vmmdevRequestName(number));
});

for (const [number, row] of REQUESTS) {
  t.test(`request ${number}, ${row.name}: its size`, async (t) => {
    const expected = SIZES[number];
    if (expected === undefined) throw new Error(`no size is known for request ${number}`);
    const least = typeof expected === 'number' ? expected : expected[0];
    const sent = (size: number) => {
      const rig = new Rig();
      const bytes = new Uint8Array(size).fill(0xa5);
      bytes.fill(0, 24);
      return rig.send(number, bytes);
    };
    const isRefused = (size: number) => sent(size).rc === VERR_INVALID_PARAMETER;
    // A header alone is enough for a few, and one of those takes two sizes.
    if (least > 24 && number !== 221) t.ok(isRefused(24), 'a header alone');
    if (least > 24) t.ok(isRefused(least - 1), 'a byte too short');
    if (typeof expected === 'number') {
      t.ok(isRefused(least + 1), 'a byte too long');
      t.ok(isRefused(1 * MIB), 'far too long');
    }
    t.ok(row.layout.size <= least, 'a handler reads no more than what has to be there');
  });
}

t.test('every row but Idle writes a status when its size is right', async (t) => {
  for (const [number, row] of REQUESTS) {
    const size = 'least' in row.size ? row.size.least : (row.size.exact[0] ?? 0);
    const { rc } = new Rig().send(number, new Uint8Array(size));
    t.equal(rc === 999, number === 5, `request ${number}`);
  }
});

t.test('a request of an unknown number is NOT_IMPLEMENTED', async (t) => {
  for (const number of [0, 6, 40, 66, 224, 0xffffffff]) {
    t.equal(new Rig().send(number, new Uint8Array(24)).rc, VERR_NOT_IMPLEMENTED, `${number}`);
  }
});

t.test('request 5: Idle leaves the status as the guest wrote it', async (t) => {
  t.equal(new Rig().ask('VMMDevReq_Idle', VMMDevReqIdle).rc, 999);
});

t.test('a header that says less than its size is ignored', async (t) => {
  for (const size of [0, 1, 23]) {
    t.equal(new Rig().send(4, new Uint8Array(40), { size }).rc, 999, `${size}`);
  }
});

t.test('a header of another version is ignored', async (t) => {
  for (const version of [0, 0x10000, 0x10002, 0x20001]) {
    t.equal(new Rig().send(4, new Uint8Array(40), { version }).rc, 999, `${version}`);
  }
});

t.test('an address where there is no memory is ignored', async (t) => {
  const rig = new Rig();
  for (const address of [64 * MIB, 64 * MIB - 23, 0xffffffff, -1, 0.5, Number.NaN]) {
    rig.device.writeRequest(address);
  }
  t.same(rig.lines, []);
});

t.test('a request that goes on where RAM ends is ignored', async (t) => {
  const rig = new Rig({ size: 2 * MIB });
  const address = rig.memory.allocatePage() ?? 0;
  rig.memory.releasePage(address);
  const at = rig.memory.allocate(rig.memory.free) ?? 0;
  const head = VMMDevRequestHeader.encode({
    size: 40,
    version: 0x10001,
    requestType: 4,
    rc: 999,
  });
  const near = 2 * MIB - 39;
  t.ok(near > at);
  rig.memory.write(near, head);
  rig.device.writeRequest(near);
  t.equal(rig.look(near, 24).rc, 999);
  rig.memory.write(near - 1, head);
  rig.device.writeRequest(near - 1);
  t.equal(rig.look(near - 1, 24).rc, 0);
});

t.test('a request over 1 MiB is NOT_SUPPORTED, and only its header is looked at', async (t) => {
  const rig = new Rig();
  t.equal(rig.send(4, new Uint8Array(40), { size: MIB + 1 }).rc, VERR_NOT_SUPPORTED);
  t.same(rig.lines, ['VMMDev: Request packet too big (100001), refusing operation']);
  t.equal(rig.send(4, new Uint8Array(40), { size: 0xffffffff }).rc, VERR_NOT_SUPPORTED);
  for (let i = 0; i < 100; i++) rig.send(4, new Uint8Array(40), { size: MIB + 1 });
  t.equal(rig.lines.length, 50, 'the log has it 50 times at most');
});

t.test('before ReportGuestInfo only 4, 50, 58 and 218 work', async (t) => {
  for (const [number, row] of REQUESTS) {
    const rig = new Rig({ reported: false });
    const size = 'least' in row.size ? row.size.least : (row.size.exact[0] ?? 0);
    const { rc } = rig.send(number, new Uint8Array(size));
    const refused = 'VMMDev: Guest has not yet reported to us -- refusing operation of request #';
    const early = [4, 50, 58, 218].includes(number);
    t.equal(rig.lines.includes(`${refused}${number}`), !early, `request ${number}`);
    if (!early) t.equal(rc, VERR_NOT_SUPPORTED, `request ${number}`);
  }
  t.equal(new Rig({ reported: false }).send(7777, new Uint8Array(24)).rc, VERR_NOT_SUPPORTED);
});

t.test('the refusals before ReportGuestInfo are logged ten times', async (t) => {
  const rig = new Rig({ reported: false });
  for (let i = 0; i < 20; i++) rig.send(5, new Uint8Array(24));
  t.equal(rig.lines.length, 10);
});

t.test('the whole request is written back, with what the handler did not touch', async (t) => {
  const rig = new Rig();
  const bytes = new Uint8Array(40).fill(0xee);
  const answered = rig.send(4, bytes);
  const { header, ...version } = VMMDevReqHostVersion.decode(answered.bytes);
  t.same(version, { major: 7, minor: 0, build: 14, revision: 161095, features: 0x8000000f });
  t.equal(header.rc, 0);
  t.equal(header.size, 40);
});

t.test('request 4: the version is the host that was set up', async (t) => {
  const hostVersion = { major: 6, minor: 1, build: 36, revision: 152435 };
  const rig = new Rig({ config: { hostVersion, features: 1 }, reported: false });
  const { header: _header, ...version } = VMMDevReqHostVersion.decode(
    rig.ask('VMMDevReq_GetHostVersion', VMMDevReqHostVersion).bytes,
  );
  t.same(version, { ...hostVersion, features: 1 });
});
