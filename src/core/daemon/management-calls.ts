/** Requests that no device node answers: what a hypervisor offers through its management channel. */
import { SystemError } from '../abi/errno.js';
import { describeProtection } from '../abi/vmm.js';
import { suspendReason } from '../abi/vmm-names.js';
import type { MemoryMapping, VmDetails, VmRecord } from '../backend/port/vm.js';
import type { SocketRecord } from '../backend/port/vsock.js';
import { type Domain, listedName } from '../simulator/domain.js';
import type { Caller } from '../simulator/node.js';
import { cpuCount, memoryBytes, type Vm } from '../simulator/vmm/vm.js';
import type { Socket } from '../simulator/vsock/socket.js';
import type { Stack } from '../simulator/vsock/stack.js';
import type { Keeper } from './keeper.js';
import { labels, machineName, oneOf, text } from './parameters.js';
import type { CallTable, Session } from './session.js';
import { describePacketBytes } from './trace.js';
import { untilChange } from './until-change.js';
import { cpuSetsOf, stateOf } from './vm-state.js';

/** What `host-version` says about the product; the version is vmmctl's own. */
const PRODUCT = 'vmmctl simulated host';

export const MANAGEMENT_CALLS: CallTable = {
  vms({ session }) {
    return { vms: records(session) };
  },

  vm({ session, parameters }) {
    const { keeper } = session.shared;
    const domain = keeper.world.domain(text(parameters, 'name'), session.caller);
    keeper.digest();
    return { vm: record(domain, session.caller) };
  },

  inspect({ session, parameters }) {
    const { keeper } = session.shared;
    const domain = keeper.world.domain(text(parameters, 'name'), session.caller);
    keeper.digest();
    return { vm: details(keeper, domain, session.caller) };
  },

  async configure({ session, parameters }) {
    const { keeper } = session.shared;
    const { cid, vsockTransport } = parameters;
    const domain = keeper.world.configure(
      text(parameters, 'name'),
      {
        cid: cid === 'auto' || typeof cid === 'number' ? cid : undefined,
        labels: labels(parameters),
        vsockTransport:
          vsockTransport === undefined
            ? undefined
            : oneOf(parameters, 'vsockTransport', ['virtio', 'vmci'] as const),
      },
      session.caller,
    );
    keeper.digest();
    await keeper.durable();
    return { vm: record(domain, session.caller) };
  },

  hostVersion({ session }) {
    const { info, keeper } = session.shared;
    const { network } = keeper.world;
    return {
      product: PRODUCT,
      version: info.version,
      revision: network.profile.name,
      features: features(keeper),
    };
  },

  watch({ session, signal }) {
    let told = '';
    const tell = () => {
      const vms = records(session);
      const text = JSON.stringify(vms);
      if (text === told) return;
      told = text;
      session.event('vms', { vms });
    };
    const stop = session.shared.keeper.onChange(tell);
    session.onClose(stop);
    tell();
    return new Promise((resolve) => {
      signal.addEventListener('abort', () => {
        stop();
        resolve({});
      });
    });
  },

  async suspension({ session, parameters, signal }) {
    const { keeper } = session.shared;
    const domain = keeper.world.domain(text(parameters, 'name'), session.caller);
    const { vm } = domain;
    const reason = await untilChange(keeper, signal, () => {
      if (keeper.world.peek(vm.name) === domain)
        return suspendReason(vm.suspendReason) ?? undefined;
      throw new SystemError('ENOENT', { message: `the VM '${vm.name}' was destroyed` });
    });
    return { reason };
  },

  diag({ session, parameters }) {
    const { world } = session.shared.keeper;
    const { stack } = world.machine(machineName(parameters), session.caller);
    return { sockets: socketRecords(stack) };
  },

  status({ session }) {
    const { info, keeper, clients } = session.shared;
    const { network } = keeper.world;
    const { packets, bytes, dropped } = network.switch.counters;
    return {
      version: info.version,
      pid: process.pid,
      startedAt: info.startedAt,
      options: info.options,
      vms: keeper.world.size,
      sockets: keeper.world.socketCount(),
      clients: clients - 1,
      counters: { packets, bytes, ...prefixed('dropped', dropped) },
    };
  },

  trace({ session }) {
    const { network } = session.shared.keeper.world;
    const tap = (header: Uint8Array, payload: Uint8Array) => {
      if (session.congested) return;
      session.event('trace', { line: describePacketBytes(header, payload) });
    };
    const stop = network.switch.addTap(tap);
    session.onClose(stop);
    return {};
  },

  stop({ session }) {
    session.shared.info.stop();
    return {};
  },
};

function records(session: Session): VmRecord[] {
  const { keeper } = session.shared;
  const domains = keeper.world.domains(session.caller);
  return domains.map((domain) => record(domain, session.caller));
}

/** A VM as a caller sees it. */
function record(domain: Domain, caller: Caller): VmRecord {
  const { vm, guest } = domain;
  return {
    name: listedName(vm, caller),
    ...stateOf(domain),
    cpus: cpuCount(vm),
    memory: memoryBytes(vm),
    cid: guest.cid ?? null,
    lifetime: vm.lifetime,
    createdAt: new Date(vm.createdAtMs).toISOString(),
    labels: domain.labels,
  };
}

function details(keeper: Keeper, domain: Domain, caller: Caller): VmDetails {
  const { guest, machine } = domain;
  const sockets = socketRecords(guest.stack);
  const established = sockets.filter(({ state }) => state === 'established').length;
  return {
    ...record(domain, caller),
    topology: { ...domain.vm.topology },
    cpuSets: cpuSetsOf(domain.vm),
    vsockTransport: guest.transport,
    memoryMap: memoryMap(domain.vm),
    devices: domain.real.isThere ? [] : machine.nodes(),
    exports: keeper.exports.list(domain),
    faults: domain.faults.active(),
    counters: {
      sockets: sockets.length,
      connections: established,
      packetsFromGuest: guest.port?.up.pulled ?? 0,
      packetsToGuest: guest.port?.down.pulled ?? 0,
      droppedReplies: guest.port?.down.droppedReplies ?? 0,
      ...prefixed('dropped', guest.port?.dropped ?? {}),
      ...keeper.exports.counters(domain),
    },
  };
}

function memoryMap(vm: Vm): MemoryMapping[] {
  const maps = vm.memmaps.map(({ gpa, len, segid, segoff, prot }) => ({
    address: Number(gpa),
    size: Number(len),
    segment: segid,
    device: vm.memsegs.get(segid)?.name || null,
    offset: Number(segoff),
    access: describeProtection(prot),
  }));
  return maps.sort((a, b) => a.address - b.address);
}

function socketRecords(stack: Stack): SocketRecord[] {
  return [...stack.sockets()].map((socket) => socketRecord(stack, socket));
}

const STATES = {
  closed: 'closed',
  listen: 'listen',
  connecting: 'connecting',
  deferred: 'connecting',
  connected: 'established',
  closing: 'closing',
} as const;

function socketRecord(stack: Stack, socket: Socket): SocketRecord {
  const listens = socket.state === 'listen';
  const queues = socket.queues();
  const connected = socket.state === 'connected' && queues !== undefined;
  return {
    type: socket.type,
    state: STATES[socket.state],
    local: socket.local,
    peer: socket.peer ?? null,
    recvQueue: listens ? socket.acceptQueue.length : (queues?.received ?? 0),
    sendQueue: listens ? socket.backlog : connected ? queues.unconsumed : 0,
    credit: connected ? queues.room : null,
    bufAlloc: socket.bufferSize,
    owner: stack.cid,
  };
}

function features(keeper: Keeper): string[] {
  const { profile, switch: hub } = keeper.world.network;
  const types = ['stream', ...(profile.seqpacket ? ['seqpacket'] : [])];
  if (profile.datagrams) types.push('dgram');
  return [...types.map((type) => `vsock-${type}`), `vsock-${hub.policy}`, 'vmmctl', 'hybrid-vsock'];
}

function prefixed(prefix: string, counters: Readonly<Record<string, number>>) {
  return Object.fromEntries(
    Object.entries(counters).map(([name, value]) => [
      `${prefix}${name.charAt(0).toUpperCase()}${name.slice(1)}`,
      value,
    ]),
  );
}
