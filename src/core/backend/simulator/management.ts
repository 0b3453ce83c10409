/** What the simulated host offers beside its nodes, over the daemon's socket. */
import { SystemError } from '../../abi/errno.js';
import type {
  BalloonRecord,
  GuestProperty,
  GuestPropertyChange,
  HeartbeatChange,
  HeartbeatRecord,
} from '../port/guest.js';
import type { CallOptions } from '../port/node.js';
import type {
  DeviceExportKind,
  ExportKind,
  ExportRecord,
  Fault,
  HostVersion,
  VmDetails,
  VmRecord,
} from '../port/vm.js';
import type { Management } from '../port.js';
import type { Connection } from './connection.js';

export class SimulatorManagement implements Management {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async vms(): Promise<VmRecord[]> {
    return (await this.#call('vms')).vms as VmRecord[];
  }

  async vm(name: string): Promise<VmRecord> {
    return (await this.#call('vm', { name })).vm as VmRecord;
  }

  async inspect(name: string): Promise<VmDetails> {
    return (await this.#call('inspect', { name })).vm as VmDetails;
  }

  async configure(name: string, change: Parameters<Management['configure']>[1]): Promise<VmRecord> {
    return (await this.#call('configure', { name, ...change })).vm as VmRecord;
  }

  async hostVersion(): Promise<HostVersion> {
    return (await this.#call('hostVersion')) as unknown as HostVersion;
  }

  async suspension(name: string, { signal }: CallOptions): Promise<string> {
    return String((await this.#call('suspension', { name }, signal)).reason);
  }

  async balloons(name?: string): Promise<BalloonRecord[]> {
    return (await this.#call('balloons', { name })).balloons as BalloonRecord[];
  }

  async setBalloon(name: string, size: number): Promise<BalloonRecord> {
    return (await this.#call('setBalloon', { name, size })).balloon as BalloonRecord;
  }

  async heartbeats(name?: string): Promise<HeartbeatRecord[]> {
    return (await this.#call('heartbeats', { name })).heartbeats as HeartbeatRecord[];
  }

  async setHeartbeat(name: string, change: HeartbeatChange): Promise<HeartbeatRecord> {
    return (await this.#call('setHeartbeat', { name, ...change })).heartbeat as HeartbeatRecord;
  }

  async raiseEvents(name: string, events: number): Promise<void> {
    await this.#call('raiseEvents', { name, events });
  }

  async guestProperties(vm: string, pattern: string): Promise<GuestProperty[]> {
    return (await this.#call('guestProperties', { vm, pattern })).properties as GuestProperty[];
  }

  async guestProperty(vm: string, name: string): Promise<GuestProperty> {
    return (await this.#call('guestProperty', { vm, name })).property as GuestProperty;
  }

  async setGuestProperty(
    vm: string,
    name: string,
    value: string | null,
    flags?: string,
  ): Promise<void> {
    await this.#call('setGuestProperty', { vm, name, value, flags });
  }

  async nextGuestProperty(
    vm: string,
    pattern: string,
    { signal, after }: CallOptions & { after?: string | undefined },
  ): Promise<GuestPropertyChange> {
    const { change } = await this.#call('nextGuestProperty', { vm, pattern, after }, signal);
    return change as GuestPropertyChange;
  }

  async setFault(name: string, fault: Fault): Promise<void> {
    await this.#call('setFault', { name, ...fault });
  }

  async clearFault(name: string, kind?: string): Promise<void> {
    await this.#call('clearFault', { name, kind });
  }

  async exportVm(
    name: string,
    { kind, forClient }: { kind: ExportKind; forClient?: boolean },
  ): Promise<ExportRecord> {
    return (await this.#call('exportVm', { name, kind, forClient })).exported as ExportRecord;
  }

  async unexportVm(
    name: string,
    { kind, forClient }: { kind: ExportKind; forClient?: boolean },
  ): Promise<void> {
    await this.#call('unexportVm', { name, kind, forClient });
  }

  async devicePath(name: string, kind: DeviceExportKind): Promise<string> {
    return String((await this.#call('devicePath', { name, kind })).path);
  }

  async exportHost({ kind }: { kind: ExportKind }): Promise<ExportRecord> {
    return (await this.#call('exportHost', { kind })).exported as ExportRecord;
  }

  async unexportHost(kind: ExportKind): Promise<void> {
    await this.#call('unexportHost', { kind });
  }

  async setVcpuProgram(name: string, vcpu: number, program: string | null): Promise<void> {
    await this.#call('setVcpuProgram', { name, vcpu, program });
  }

  async *watch({ signal }: { signal: AbortSignal }): AsyncIterable<VmRecord[]> {
    const lists: VmRecord[][] = [];
    let failure: SystemError | undefined;
    let wake: () => void = () => undefined;
    // Aborting ends it at once, also when the daemon does not answer.
    signal.addEventListener('abort', () => wake(), { once: true });
    const stop = this.#connection.on('vms', ({ vms }) => {
      lists.push(vms as VmRecord[]);
      wake();
    });
    const end = (error?: SystemError) => {
      failure ??= error ?? new SystemError('EINTR');
      wake();
    };
    const stopWaiting = this.#connection.onClose(end);
    this.#call('watch', {}, signal).then(() => end(), end);
    try {
      for (;;) {
        const list = lists.shift();
        if (list !== undefined) yield list;
        else if (signal.aborted) return;
        else if (failure !== undefined) throw failure;
        else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    } finally {
      stop();
      stopWaiting();
    }
  }

  async #call(op: string, parameters: object = {}, signal?: AbortSignal) {
    return (await this.#connection.call(op, parameters, { signal })).values;
  }
}
