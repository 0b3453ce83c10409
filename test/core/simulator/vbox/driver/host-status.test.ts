/** What programs get when the host refuses a request that the driver makes for them. */
import t from 'tap';
import {
  VBOX_STATUS,
  VBOX_STATUS_ERRNO,
  type VboxStatusName,
} from '../../../../../src/core/abi/vbox-err.js';
import { startedGuest } from './guest.js';
import { acquire, filter, GRAPHICS, SEAMLESS, set } from './told.js';

for (const [name, code] of [
  ...Object.entries(VBOX_STATUS_ERRNO),
  ['VERR_PERMISSION_DENIED', 'EPROTO'],
  ['VERR_VERSION_MISMATCH', 'EPROTO'],
  ['VERR_BUFFER_OVERFLOW', 'EPROTO'],
  ['VERR_OUT_OF_RANGE', 'EPROTO'],
  ['VERR_NOT_FOUND', 'EPROTO'],
  ['VERR_HGCM_SERVICE_NOT_FOUND', 'EPROTO'],
] as const) {
  t.test(`a request of the driver that fails with ${name} is ${code}`, async (t) => {
    const { node, device, kernelLog } = startedGuest();
    const rc = VBOX_STATUS[name as VboxStatusName];
    device.refuse('VMMDevReq_CtlGuestFilterMask', rc);
    device.refuse('VMMDevReq_SetGuestCapabilities', rc);
    t.equal(filter(node, 0x4).code, code);
    t.equal(set(node, SEAMLESS).code, code);
    t.equal(acquire(node, GRAPHICS).code, code);
    const lines = kernelLog.filter((line) => line.includes('Unhandled err'));
    t.equal(lines.length, code === 'EPROTO' ? 3 : 0);
  });
}

for (const rc of [10, 41, 78, 2903]) {
  t.test(`a request of the driver that ends with ${rc} is a success`, async (t) => {
    const { node, device } = startedGuest();
    device.refuse('VMMDevReq_CtlGuestFilterMask', rc);
    t.equal(filter(node, 0x4).code, 'ok');
  });
}
