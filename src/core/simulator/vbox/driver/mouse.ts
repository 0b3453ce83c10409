/** The pointer, as far as the host wants to be told. Follows vbg_core_set_mouse_status() and vbg_linux_mouse_event(). */
import { VMMDevReqMouseStatus } from '../../../abi/vmmdev-display.js';
import { checkStatus } from './host-requests.js';
import type { Vbg } from './vbg.js';

/** Tells the host that the guest takes no positions. @throws SystemError by the host's status. */
export function clearMouse({ host, log }: Vbg): void {
  const { rc } = host.ask('VMMDevReq_SetMouseStatus', VMMDevReqMouseStatus, {});
  if (rc < 0) log.print(`vbg_core_set_mouse_status error, rc: ${rc}`);
  checkStatus(log, rc);
}

/** Fetches a position, for nobody: the guest has no input device. */
export function takeMousePosition({ host }: Vbg): void {
  host.ask('VMMDevReq_GetMouseStatus', VMMDevReqMouseStatus, {}, { reserved: 'mouseStatus' });
}
