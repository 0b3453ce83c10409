/** What the driver and the host tell each other at the driver's start, and what keeps it from starting. */
import t from 'tap';
import { VBOX_STATUS } from '../../../../../src/core/abi/vbox-err.js';
import { VMMDEV_HVF, type VmmdevRequestName } from '../../../../../src/core/abi/vmmdev.js';
import {
  VMMDevCtlGuestFilterMask,
  VMMDevReportGuestInfo,
  VMMDevReportGuestInfo2,
  VMMDevReportGuestStatus,
} from '../../../../../src/core/abi/vmmdev-requests.js';
import { ROOT } from '../../../../../src/core/simulator/node.js';
import { codeOf } from '../../../../helpers/vmm.js';
import { scriptedGuest } from './guest.js';
import type { ScriptedDevice } from './scripted-device.js';

t.test(
  'start order: version, report 2 and 1, filter, capabilities, mouse, mappings, heartbeat, status',
  async (t) => {
    const { driver, device, advance } = scriptedGuest();
    driver.start();
    t.strictSame(device.types(), [4, 58, 50, 42, 56, 2, 20, 220, 220, 59]);
    t.ok(
      device.seen.every(({ requestor }) => requestor === 1),
      'all are of the kernel',
    );
    advance(0);
    t.equal(device.types().at(-1), 219, 'the first beat comes at once');
    t.ok(driver.running);
    t.equal(driver.failure, undefined);
  },
);

t.test('start: what the reports say', async (t) => {
  const { driver, device } = scriptedGuest();
  driver.start();
  const [info2] = device.of('VMMDevReq_ReportGuestInfo2');
  const [info] = device.of('VMMDevReq_ReportGuestInfo');
  const [status] = device.of('VMMDevReq_ReportGuestStatus');
  const [filter] = device.of('VMMDevReq_CtlGuestFilterMask');
  const [caps] = device.of('VMMDevReq_SetGuestCapabilities');
  t.match(VMMDevReportGuestInfo2.decode(info2?.bytes ?? new Uint8Array()).guestInfo, {
    additionsMajor: 6,
    additionsMinor: 0,
    additionsBuild: 0,
    additionsRevision: 127566,
    additionsFeatures: 1,
  });
  t.equal(new TextDecoder().decode(info2?.bytes.subarray(40, 46)), '6.0.0\0');
  t.match(VMMDevReportGuestInfo.decode(info?.bytes ?? new Uint8Array()).guestInfo, {
    interfaceVersion: 0x10004,
    osType: 0x53100,
  });
  t.match(VMMDevReportGuestStatus.decode(status?.bytes ?? new Uint8Array()).guestStatus, {
    facility: 20,
    status: 50,
    flags: 0,
  });
  t.match(VMMDevCtlGuestFilterMask.decode(filter?.bytes ?? new Uint8Array()), {
    u32OrMask: 0x202,
    u32NotMask: 0xfffffdfd,
  });
  t.match(VMMDevCtlGuestFilterMask.decode(caps?.bytes ?? new Uint8Array()), {
    u32OrMask: 0,
    u32NotMask: 0xffffffff,
  });
});

t.test('start: lines of the kernel log, which also go to the port', async (t) => {
  const { driver, device, kernelLog } = scriptedGuest();
  driver.start();
  t.strictSame(kernelLog, [
    'vboxguest: host-version: 7.0.14r161095 0x8000000f',
    'vbg_heartbeat_init: Setting up heartbeat to trigger every 2000 milliseconds',
  ]);
  t.equal(device.logged, `${kernelLog.join('\n')}\n`);
});

t.test('sysfs: host_version and host_features', async (t) => {
  const { driver, device } = scriptedGuest();
  t.equal(
    codeOf(() => driver.hostVersionText()),
    'ENOENT',
    'not before the start',
  );
  driver.start();
  t.equal(driver.hostVersionText(), '7.0.14r161095\n');
  t.equal(driver.hostFeaturesText(), '0x8000000f\n');
  device.hostFeatures = 1;
  driver.reset();
  t.equal(driver.hostFeaturesText(), '0x1\n');
});

t.test(
  'start: report 2 that is NOT_SUPPORTED or NOT_IMPLEMENTED comes after report 1',
  async (t) => {
    const { VERR_NOT_SUPPORTED, VERR_NOT_IMPLEMENTED } = VBOX_STATUS;
    for (const rc of [VERR_NOT_SUPPORTED, VERR_NOT_IMPLEMENTED]) {
      const { driver, device } = scriptedGuest();
      let reported = false;
      device.on('VMMDevReq_ReportGuestInfo2', () => (reported ? 0 : rc));
      device.on('VMMDevReq_ReportGuestInfo', () => {
        reported = true;
        return 0;
      });
      driver.start();
      t.strictSame(device.types().slice(0, 4), [4, 58, 50, 58]);
      t.ok(driver.running);
    }
  },
);

t.test('start: a host that never knows report 2 is fine', async (t) => {
  const { driver, device } = scriptedGuest();
  device.refuse('VMMDevReq_ReportGuestInfo2', VBOX_STATUS.VERR_NOT_IMPLEMENTED);
  driver.start();
  t.ok(driver.running);
});

interface Failure {
  readonly title: string;
  readonly code: string;
  readonly line: RegExp;
  readonly prepare: (device: ScriptedDevice) => void;
}

const refusal = (name: VmmdevRequestName, code: string, line: RegExp): Failure => ({
  title: `${name} fails with NOT_SUPPORTED`,
  code,
  line,
  prepare: (device) => device.refuse(name, VBOX_STATUS.VERR_NOT_SUPPORTED),
});

const FAILURES: readonly Failure[] = [
  {
    title: 'the host has no page lists (features without bit 0)',
    code: 'ENODEV',
    line: /host too old \(does not support page-lists\)/,
    prepare: (device) => {
      device.hostFeatures &= ~VMMDEV_HVF.VMMDEV_HVF_HGCM_PHYS_PAGE_LIST;
    },
  },
  {
    title: 'the memory has another version than 1',
    code: 'ENODEV',
    line: /Bogus VMMDev memory; version=00000002 \(expected 00000001\)/,
    prepare: (device) => {
      device.ramVersion = 2;
    },
  },
  {
    title: 'the memory has less than 32 bytes',
    code: 'ENODEV',
    line: /Bogus VMMDev memory; .* size=31 /,
    prepare: (device) => {
      device.ramSize = 31;
    },
  },
  {
    title: 'the memory is larger than its BAR',
    code: 'ENODEV',
    line: /Bogus VMMDev memory; .* size=4194305 /,
    prepare: (device) => {
      device.ramSize = 0x400001;
    },
  },
  refusal('VMMDevReq_GetHostVersion', 'ENOSYS', /vbg_query_host_version error: -37/),
  refusal('VMMDevReq_ReportGuestInfo', 'ENOSYS', /vbg_report_guest_info error: -37/),
  refusal('VMMDevReq_CtlGuestFilterMask', 'ENOSYS', /failed with error -38/),
  refusal('VMMDevReq_SetGuestCapabilities', 'ENOSYS', /failed with error -38/),
  refusal('VMMDevReq_SetMouseStatus', 'ENOSYS', /vbg_core_set_mouse_status error, rc: -37/),
];

for (const { title, code, line, prepare } of FAILURES) {
  t.test(`start fails with ${code} and leaves no nodes when ${title}`, async (t) => {
    const { driver, device, kernelLog, pages } = scriptedGuest();
    prepare(device);
    const { free } = pages;
    driver.start();
    t.notOk(driver.running);
    t.equal(driver.failure, code);
    t.match(kernelLog.join('\n'), line);
    t.match(kernelLog.at(-1), /probe of 0000:00:04.0 failed with error -\d+$/);
    t.equal(
      codeOf(() => driver.open('vboxguest', ROOT)),
      'ENOENT',
    );
    t.equal(
      codeOf(() => driver.open('vboxuser', ROOT)),
      'ENOENT',
    );
    t.equal(pages.free, free, 'all memory is given back');
  });
}

t.test('start: a guest without memory has no driver', async (t) => {
  const { driver } = scriptedGuest(0);
  driver.start();
  t.equal(driver.failure, 'ENOMEM');
});

for (const name of [
  'VMMDevReq_GetHypervisorInfo',
  'VMMDevReq_HeartbeatConfigure',
  'VMMDevReq_ReportGuestStatus',
] as const) {
  t.test(`start: ${name} may fail`, async (t) => {
    const { driver, device } = scriptedGuest();
    device.refuse(name, VBOX_STATUS.VERR_NOT_SUPPORTED);
    driver.start();
    t.ok(driver.running);
  });
}

t.test('start: a host that wants mappings is offered five addresses, 4 MiB aligned', async (t) => {
  const { driver, device } = scriptedGuest();
  device.on('VMMDevReq_GetHypervisorInfo', (view) => {
    view.setUint32(28, 0x10000, true);
    return 0;
  });
  device.refuse('VMMDevReq_SetHypervisorInfo', VBOX_STATUS.VERR_TRY_AGAIN);
  driver.start();
  const offers = device.of('VMMDevReq_SetHypervisorInfo');
  t.equal(offers.length, 5);
  const addresses = offers.map(({ bytes }) => new DataView(bytes.buffer).getUint32(24, true));
  t.equal(new Set(addresses).size, 5);
  t.ok(addresses.every((address) => address % 0x400000 === 0));
  t.ok(driver.running);
});
