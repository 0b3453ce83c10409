/** A VM whose vCPUs have the exits that a test tells, and clients of the sessions that serve it. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { Test } from 'tap';
import { SystemError } from '../../../../src/core/abi/errno.js';
import { KVM_EXIT, kvm_run } from '../../../../src/core/abi/kvm-run.js';
import { HolderConnection } from '../../../../src/core/backend/device/kvm/connection.js';
import { HeldVm } from '../../../../src/core/backend/device/kvm/holder.js';
import { Session } from '../../../../src/core/backend/device/kvm/session.js';
import type { Runnable } from '../../../../src/core/backend/device/kvm/turn.js';
import type { KvmExit, KvmImage } from '../../../../src/core/backend/port/kvm.js';
import { shortDirectory } from '../../../helpers/kvm.js';

export function exitOf(reason: number, rip = 0n, data: number[] = []): KvmExit {
  const run = kvm_run.encode({ exit_reason: reason });
  return { reason, run, rip, data: Uint8Array.from(data) };
}

/** Gives its exits one after the other, and then runs for ever. */
export class FakeVcpu implements Runnable {
  readonly exits: KvmExit[] = [];
  readonly begun: number[] = [];
  readonly answers: string[] = [];
  /** How many run it at the same time, which must never be two. */
  runners = 0;
  /** A kick has its effect only when the test says so. */
  stubborn: Promise<void> | undefined;

  begin(at: number): void {
    if (at >= 0x100000) throw new SystemError('EINVAL');
    this.begun.push(at);
  }

  async run(signal: AbortSignal): Promise<KvmExit> {
    if (++this.runners > 1) throw new Error('two run a vCPU');
    try {
      const exit = this.exits.shift();
      if (exit !== undefined) return exit;
      if (!signal.aborted) await once(signal, 'abort');
      await this.stubborn;
      throw new SystemError('EINTR');
    } finally {
      this.runners--;
    }
  }

  answer(bytes: Uint8Array): void {
    this.answers.push(Buffer.from(bytes).toString('hex'));
  }
}

export class FakeMachine {
  readonly vcpus = [new FakeVcpu(), new FakeVcpu()] as const;
  readonly memoryMap = [];
  readonly loaded: KvmImage[] = [];
  closed = 0;

  load(image: KvmImage): void {
    this.loaded.push(image);
  }

  close(): void {
    if (this.vcpus.some(({ runners }) => runners > 0)) throw new Error('closed while it runs');
    this.closed++;
  }
}

export interface Served {
  machine: FakeMachine;
  vm: HeldVm;
  path: string;
  /** How often the process would have ended. */
  exited(): number;
  connect(): Promise<HolderConnection>;
}

/** A held VM on a socket of the test. */
export async function served(t: Test): Promise<Served> {
  const machine = new FakeMachine();
  const request = { name: 'web1', cpus: 2, memory: 4096, labels: {}, ephemeral: false };
  const vm = new HeldVm(request, machine, '2026-01-01T00:00:00.000Z');
  const path = join(shortDirectory(t), 's');
  let exits = 0;
  const server = createServer((socket) => {
    t.teardown(() => socket.destroy());
    new Session(vm, socket, {
      destroy: () => vm.close(),
      exit: () => {
        exits++;
        socket.destroy();
      },
    });
  });
  await once(server.listen(path), 'listening');
  t.teardown(() => server.close());
  const connect = async () => {
    const connection = await HolderConnection.connect(path);
    t.teardown(() => connection.close());
    return connection;
  };
  return { machine, vm, path, exited: () => exits, connect };
}

export const { KVM_EXIT_IO, KVM_EXIT_HLT, KVM_EXIT_SHUTDOWN } = KVM_EXIT;
