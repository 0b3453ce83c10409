/** The rows of a host without a screen, spare CPUs or somebody to log on. */
import t from 'tap';
import { VBOX_STATUS } from '../../../../../src/core/abi/vbox-err.js';
import {
  VMMDevDisplayChangeRequest,
  VMMDevDisplayChangeRequest2,
  VMMDevDisplayChangeRequestEx,
  VMMDevDisplayChangeRequestMulti,
  VMMDevDisplayDef,
  VMMDevGetHeightReductionRequest,
  VMMDevReqMousePointer,
  VMMDevReqMouseStatus,
  VMMDevReqMouseStatusEx,
  VMMDevSeamlessChangeRequest,
  VMMDevVideoAccelEnable,
  VMMDevVideoAccelFlush,
  VMMDevVideoModeSupportedRequest,
  VMMDevVideoModeSupportedRequest2,
  VMMDevVideoSetVisibleRegion,
  VMMDevVideoUpdateMonitorPositions,
  VMMDevVRDPChangeRequest,
} from '../../../../../src/core/abi/vmmdev-display.js';
import {
  VMMDevCpuHotPlugStatusRequest,
  VMMDevCredentials,
  VMMDevGetCpuHotPlugRequest,
  VMMDevPageSharingStatusRequest,
  VMMDevReqHypervisorInfo,
  VMMDevSharedModuleRegistrationRequest,
} from '../../../../../src/core/abi/vmmdev-requests.js';
import { Rig } from '../../../../helpers/vmmdev.js';

const { VERR_INVALID_PARAMETER, VERR_NOT_SUPPORTED, VERR_TRY_AGAIN, VINF_SUCCESS } = VBOX_STATUS;

/** The fields after the header. */
function without<T extends { header: unknown }>({ header: _header, ...fields }: T) {
  return fields;
}

t.test('requests 1, 2 and 223: the guest sets its own features alone', async (t) => {
  const rig = new Rig();
  const set = rig.ask('VMMDevReq_SetMouseStatus', VMMDevReqMouseStatus, {
    mouseFeatures: 0xffffffff,
    pointerXPos: 5,
  });
  t.equal(set.rc, VINF_SUCCESS);
  const get = rig.ask('VMMDevReq_GetMouseStatus', VMMDevReqMouseStatus, { pointerXPos: 7 });
  const status = { mouseFeatures: 0x95, pointerXPos: 0, pointerYPos: 0 };
  t.same(without(VMMDevReqMouseStatus.decode(get.bytes)), status);
  const ex = rig.send(223, new Uint8Array(48).fill(1));
  const { Core, ...more } = VMMDevReqMouseStatusEx.decode(ex.bytes);
  t.equal(ex.rc, VINF_SUCCESS);
  t.same(without(Core), status);
  t.same([Core.header.size, Core.header.requestType], [48, 223]);
  t.same(more, { dz: 0, dw: 0, fButtons: 0 });
  rig.device.reset();
  rig.report();
  const after = rig.ask('VMMDevReq_GetMouseStatus', VMMDevReqMouseStatus);
  t.equal(VMMDevReqMouseStatus.decode(after.bytes).mouseFeatures, 0, 'a reset takes them back');
});

t.test('request 3: a shape has to be in the request', async (t) => {
  const shape = (width: number, height: number, more: number, fFlags = 7) =>
    new Rig().ask(
      'VMMDevReq_SetPointerShape',
      VMMDevReqMousePointer,
      { fFlags, width, height },
      new Uint8Array(more),
    ).rc;
  t.equal(shape(32, 32, 128 + 4096), VINF_SUCCESS);
  t.equal(shape(32, 32, 128 + 4095), VERR_INVALID_PARAMETER);
  t.equal(shape(8193, 0, 8), VERR_INVALID_PARAMETER);
  t.equal(shape(0, 0xffffffff, 8), VERR_INVALID_PARAMETER);
  t.equal(shape(0xffffffff, 0xffffffff, 8), VERR_INVALID_PARAMETER);
  t.equal(shape(9999, 9999, 4), VINF_SUCCESS, 'the struct alone has no shape');
  t.equal(shape(9999, 9999, 8, 1), VINF_SUCCESS, 'nor has a request that only shows or hides it');
});

t.test('requests 51, 54 and 80: no display should change', async (t) => {
  const rig = new Rig();
  const one = rig.send(51, new Uint8Array(40).fill(9));
  const fields = { xres: 0, yres: 0, bpp: 0, eventAck: 0x09090909 };
  t.same(without(VMMDevDisplayChangeRequest.decode(one.bytes)), fields);
  const two = rig.send(54, new Uint8Array(44).fill(9));
  t.same(without(VMMDevDisplayChangeRequest2.decode(two.bytes)), { ...fields, display: 0 });
  const ex = rig.send(80, new Uint8Array(56).fill(9));
  t.same(without(VMMDevDisplayChangeRequestEx.decode(ex.bytes)), {
    ...fields,
    display: 0,
    cxOrigin: 0,
    cyOrigin: 0,
    fChangeOrigin: 0,
    fEnabled: 0,
  });
});

t.test('request 81: all displays are disabled, and none is new', async (t) => {
  const rig = new Rig();
  const ask = (cDisplays: number, eventAck: number, room: number) =>
    rig.ask(
      'VMMDevReq_GetDisplayChangeRequestMulti',
      VMMDevDisplayChangeRequestMulti,
      { cDisplays, eventAck },
      new Uint8Array(room * 28).fill(9),
    );
  const two = ask(2, 0, 2);
  const defs = [0, 1].map((i) => VMMDevDisplayDef.read(two.view, 32 + 28 * i));
  const disabled = { ...VMMDevDisplayDef.zero(), fDisplayFlags: 2 };
  t.same(defs, [
    { ...disabled, idDisplay: 0 },
    { ...disabled, idDisplay: 1 },
  ]);
  t.equal(VMMDevDisplayChangeRequestMulti.decode(ask(2, 4, 2).bytes).cDisplays, 0);
  for (const [count, room] of [
    [0, 1],
    [2, 1],
    [65, 65],
    [0xffffffff, 1],
  ] as const) {
    t.equal(ask(count, 0, room).rc, VERR_INVALID_PARAMETER, `${count} of ${room}`);
  }
  t.equal(ask(64, 0, 64).rc, VINF_SUCCESS);
});

t.test('requests 52, 57 and 53: every mode will do, and nothing takes lines away', async (t) => {
  const rig = new Rig();
  const mode = rig.ask('VMMDevReq_VideoModeSupported', VMMDevVideoModeSupportedRequest);
  t.equal(VMMDevVideoModeSupportedRequest.decode(mode.bytes).fSupported, 1);
  const mode2 = rig.ask('VMMDevReq_VideoModeSupported2', VMMDevVideoModeSupportedRequest2);
  t.equal(VMMDevVideoModeSupportedRequest2.decode(mode2.bytes).fSupported, 1);
  const height = rig.ask('VMMDevReq_GetHeightReduction', VMMDevGetHeightReductionRequest, {
    heightReduction: 9,
  });
  t.equal(VMMDevGetHeightReductionRequest.decode(height.bytes).heightReduction, 0);
});

t.test('requests 70 and 71: acceleration is accepted, and not enabled', async (t) => {
  const rig = new Rig();
  const enable = (cbRingBuffer: number) =>
    rig.ask('VMMDevReq_VideoAccelEnable', VMMDevVideoAccelEnable, { u32Enable: 1, cbRingBuffer });
  t.equal(VMMDevVideoAccelEnable.decode(enable(4193280).bytes).fu32Status, 1);
  for (let i = 0; i < 20; i++) t.equal(enable(4096).rc, VERR_INVALID_PARAMETER);
  t.equal(rig.lines.length, 16);
  t.equal(
    rig.lines[0],
    'VMMDevReq_VideoAccelEnable guest ring buffer size 0x1000, should be 0x3ffc00!!',
  );
  t.equal(rig.ask('VMMDevReq_VideoAccelFlush', VMMDevVideoAccelFlush).rc, VINF_SUCCESS);
});

t.test('requests 72 and 222: a list has to be as long as it says', async (t) => {
  const rig = new Rig();
  const region = (cRect: number, room: number) =>
    rig.ask(
      'VMMDevReq_VideoSetVisibleRegion',
      VMMDevVideoSetVisibleRegion,
      { cRect },
      new Uint8Array(room),
    ).rc;
  t.equal(region(0, 0), VINF_SUCCESS);
  t.equal(region(2, 32), VINF_SUCCESS);
  t.equal(region(2, 31), VERR_INVALID_PARAMETER);
  t.equal(region(0x10000000, 0), VERR_INVALID_PARAMETER, 'a product that wraps in 32 bits');
  const positions = (cPositions: number, room: number) =>
    rig.ask(
      'VMMDevReq_VideoUpdateMonitorPositions',
      VMMDevVideoUpdateMonitorPositions,
      { cPositions },
      new Uint8Array(room),
    ).rc;
  t.equal(positions(1, 8), VINF_SUCCESS);
  t.equal(positions(2, 8), VERR_INVALID_PARAMETER);
  t.equal(positions(0x20000001, 8), VERR_INVALID_PARAMETER);
});

t.test('requests 73 and 150: no seamless mode, and no remote desktop', async (t) => {
  const rig = new Rig();
  const seamless = rig.ask('VMMDevReq_GetSeamlessChangeRequest', VMMDevSeamlessChangeRequest, {
    mode: 9,
    eventAck: 0x20,
  });
  t.same(without(VMMDevSeamlessChangeRequest.decode(seamless.bytes)), { mode: 0, eventAck: 0x20 });
  const { bytes } = rig.send(150, new Uint8Array(32).fill(9));
  t.same(without(VMMDevVRDPChangeRequest.decode(bytes)), {
    u8VRDPActive: 0,
    u32VRDPExperienceLevel: 0,
  });
});

t.test('requests 20 and 21: the host needs no place, and takes only none', async (t) => {
  const rig = new Rig();
  const get = rig.ask('VMMDevReq_GetHypervisorInfo', VMMDevReqHypervisorInfo, {
    hypervisorStart: 5,
    hypervisorSize: 9,
  });
  t.same(without(VMMDevReqHypervisorInfo.decode(get.bytes)), {
    hypervisorStart: 5,
    hypervisorSize: 0,
  });
  const set = (hypervisorStart: number, hypervisorSize: number) =>
    rig.ask('VMMDevReq_SetHypervisorInfo', VMMDevReqHypervisorInfo, {
      hypervisorStart,
      hypervisorSize,
    }).rc;
  t.equal(set(0, 5), VINF_SUCCESS);
  t.equal(set(5, 0), VINF_SUCCESS);
  t.equal(set(5, 5), VERR_TRY_AGAIN);
});

t.test('requests 100 and 101: there is nobody to log on', async (t) => {
  const rig = new Rig();
  const query = (u32Flags: number) => {
    const bytes = new Uint8Array(412).fill(0x41);
    new DataView(bytes.buffer).setUint32(24, u32Flags, true);
    return VMMDevCredentials.decode(rig.send(100, bytes).bytes);
  };
  t.equal(query(0x10002).u32Flags, 0x2, 'none is present');
  t.equal(query(0x4).u32Flags, 0x20004, 'and it would not be a local one');
  const { szUserName, szPassword, szDomain } = query(0);
  t.ok([szUserName, szPassword, szDomain].every((text) => text.every((byte) => byte === 0)));
  t.equal(rig.ask('VMMDevReq_ReportCredentialsJudgement', VMMDevCredentials).rc, VINF_SUCCESS);
});

t.test('requests 210 and 211: no CPU comes or goes', async (t) => {
  const rig = new Rig();
  const { bytes } = rig.ask('VMMDevReq_GetCpuHotPlugRequest', VMMDevGetCpuHotPlugRequest);
  t.same(without(VMMDevGetCpuHotPlugRequest.decode(bytes)), {
    enmEventType: 1,
    idCpuCore: 0xffffffff,
    idCpuPackage: 0xffffffff,
  });
  const set = (enmStatusType: number) =>
    rig.ask('VMMDevReq_SetCpuHotPlugStatus', VMMDevCpuHotPlugStatusRequest, { enmStatusType }).rc;
  t.same([0, 1, 2, 3].map(set), [
    VERR_INVALID_PARAMETER,
    VINF_SUCCESS,
    VINF_SUCCESS,
    VERR_INVALID_PARAMETER,
  ]);
});

t.test('requests 22, 23 and 212 to 216: no patches, and no shared pages', async (t) => {
  const rig = new Rig();
  for (const [number, size] of [
    [22, 36],
    [23, 36],
    [213, 184],
    [214, 24],
    [216, 44],
  ] as const) {
    t.equal(rig.send(number, new Uint8Array(size)).rc, VERR_NOT_SUPPORTED, `request ${number}`);
  }
  const register = (cRegions: number, room: number) =>
    rig.ask(
      'VMMDevReq_RegisterSharedModule',
      VMMDevSharedModuleRegistrationRequest,
      { cRegions },
      new Uint8Array(room * 16),
    ).rc;
  t.equal(register(2, 2), VERR_NOT_SUPPORTED);
  t.equal(register(2, 1), VERR_INVALID_PARAMETER);
  t.equal(register(0x10000001, 1), VERR_INVALID_PARAMETER);
  const { bytes } = rig.send(215, new Uint8Array(28).fill(1));
  t.equal(VMMDevPageSharingStatusRequest.decode(bytes).fEnabled, 0);
});
