/** Requests to offer a VM, or the host, to programs that know nothing of vmmctl. */
import { SystemError } from '../abi/errno.js';
import { EXPORT_KINDS, type Export, type ExportKind } from '../export/exports.js';
import type { ExportOwner } from '../export/offered.js';
import { DEVICE_KINDS } from '../export/vhost-user/socket-path.js';
import type { Domain } from '../simulator/domain.js';
import { oneOf, optionalTruth, type Parameters, text } from './parameters.js';
import type { CallTable, Session } from './session.js';

/** Always offered. */
const HYBRID = 'hybrid-vsock';

export const EXPORT_CALLS: CallTable = {
  async exportVm({ session, parameters }) {
    const { keeper } = session.shared;
    const domain = domainOf(session, parameters);
    if (parameters.kind === HYBRID) {
      const path = keeper.exports.hybridPath(domain);
      return { exported: { kind: HYBRID, paths: path === undefined ? [] : [path] } };
    }
    keeper.world.ownDomain(domain.vm.name, session.caller);
    const kind = kindOf(parameters);
    if (isForClient(parameters)) {
      const held = await keeper.exports.hold(domain, kind, session);
      session.onClose(() => keeper.exports.letGo(domain, kind, session));
      return { exported: record(held) };
    }
    const exported = await keeper.exports.offer(domain, kind);
    await kept(session, domain);
    return { exported: record(exported) };
  },

  async unexportVm({ session, parameters }) {
    const domain = domainOf(session, parameters);
    session.shared.keeper.world.ownDomain(domain.vm.name, session.caller);
    if (isForClient(parameters)) {
      session.shared.keeper.exports.letGo(domain, kindOf(parameters), session);
      session.shared.keeper.digest();
      return {};
    }
    unexport(session, domain, parameters);
    await kept(session, domain);
    return {};
  },

  devicePath({ session, parameters }) {
    const kind = oneOf(parameters, 'kind', DEVICE_KINDS);
    const domain = domainOf(session, parameters);
    return { path: session.shared.keeper.exports.devicePath(domain, kind) };
  },

  async exportHost({ session, parameters }) {
    const { keeper } = session.shared;
    return { exported: record(await keeper.exports.offer('host', kindOf(parameters))) };
  },

  unexportHost({ session, parameters }) {
    unexport(session, 'host', parameters);
    return {};
  },
};

function unexport(session: Session, owner: ExportOwner, parameters: Parameters): void {
  const { keeper } = session.shared;
  keeper.exports.end(owner, kindOf(parameters));
  keeper.digest();
}

/** Resolves when it is on disk what comes back with the VM. */
async function kept(session: Session, domain: Domain): Promise<void> {
  const { keeper } = session.shared;
  keeper.noteExports(domain);
  await keeper.durable();
}

function isForClient(parameters: Parameters): boolean {
  return optionalTruth(parameters, 'forClient') === true;
}

function domainOf(session: Session, parameters: Parameters) {
  const { keeper } = session.shared;
  const domain = keeper.world.domain(text(parameters, 'name'), session.caller);
  // It may have got its CID, and with it its socket, just now.
  keeper.digest();
  return domain;
}

function kindOf(parameters: Parameters): ExportKind {
  if (parameters.kind !== HYBRID) return oneOf(parameters, 'kind', EXPORT_KINDS);
  throw new SystemError('EINVAL', { message: 'the hybrid vsock socket is always there' });
}

function record({ kind, paths }: Export) {
  return { kind, paths };
}
