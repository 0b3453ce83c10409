/** Requests about what the vCPUs of a VM execute. */

import { SystemError } from '../abi/errno.js';
import { integer, type Parameters, text } from './parameters.js';
import type { CallTable } from './session.js';

export const VCPU_CALLS: CallTable = {
  async setVcpuProgram({ session, parameters }) {
    const { keeper } = session.shared;
    const { vm } = keeper.world.ownDomain(text(parameters, 'name'), session.caller);
    const vcpu = integer(parameters, 'vcpu');
    keeper.world.vmm.setProgram(vm, vcpu, programOf(parameters));
    keeper.digest();
    await keeper.durable();
    return {};
  },
};

/** The text of a program, or null to take it away. Its length is the simulated host's to judge, as far as a frame goes. */
function programOf(parameters: Parameters): string | null {
  const { program } = parameters;
  if (program === null || typeof program === 'string') return program;
  throw new SystemError('EINVAL', { message: "the parameter 'program' makes no sense" });
}
