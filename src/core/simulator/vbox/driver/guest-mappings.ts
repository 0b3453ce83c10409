/**
 * Addresses of the guest's kernel for mappings of a host that needs some, which one with hardware virtualization does
 * not. Follows vbg_guest_mappings_init() and vbg_guest_mappings_exit() in vboxguest_core.c.
 */
import { SystemError } from '../../../abi/errno.js';
import { VMMDevReqHypervisorInfo } from '../../../abi/vmmdev-requests.js';
import { checkStatus } from './host-requests.js';
import type { Vbg } from './vbg.js';

/** How many addresses the driver offers. */
const GUEST_MAPPINGS_TRIES = 5;
/** The host wants them aligned to this, bytes. */
const ALIGNMENT = 0x400000;
/** Where the simulated kernel would map, in the lower 32 bits that the host is told. */
const FIRST_ADDRESS = 0xc0000000;

/** Offers addresses until the host takes some: whether it did. Its failures are no failure of the driver. */
export function reserveMappings({ host, log }: Vbg): boolean {
  try {
    const wanted = host.ask('VMMDevReq_GetHypervisorInfo', VMMDevReqHypervisorInfo, {});
    const { hypervisorSize } = wanted.body;
    if (wanted.rc < 0 || hypervisorSize === 0) return false;
    for (let attempt = 0; attempt < GUEST_MAPPINGS_TRIES; attempt++) {
      const hypervisorStart = FIRST_ADDRESS + attempt * ALIGNMENT;
      const fields = { hypervisorStart, hypervisorSize };
      if (host.ask('VMMDevReq_SetHypervisorInfo', VMMDevReqHypervisorInfo, fields).rc >= 0) {
        return true;
      }
    }
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    log.print(`vbg_guest_mappings_init error: ${error.code}`);
  }
  return false;
}

/** Takes them back. @throws SystemError ENOMEM, and by the host's status. */
export function returnMappings({ host, log, hasMappings }: Vbg): void {
  if (!hasMappings) return;
  const { rc } = host.ask('VMMDevReq_SetHypervisorInfo', VMMDevReqHypervisorInfo, {});
  checkStatus(log, rc);
}
