/**
 * What is said on the socket of a process that holds a VM of KVM: frames as in wire.ts, a call and its answer in turn. A call
 * is `{protocol, call, ...}`, its answer `{value}`, `{exit}` or `{error}`. While a vCPU runs, the one call that may be made
 * is `stop`, which is what a signal is to a system call: the run is answered with EINTR, `stop` itself with nothing.
 */
import { SystemError } from '../../../abi/errno.js';
import { kvm_run } from '../../../abi/kvm-run.js';
import { errorFromWire, type Frame } from '../../../daemon/wire.js';
import type { KvmExit, KvmRequest } from '../../port/kvm.js';

const PROTOCOL = 1;

export type HolderCall =
  /** A VmRecord. */
  | { call: 'vm' }
  /** VmDetails. */
  | { call: 'inspect' }
  /** Answered when the VM is gone; the connection then ends with the process. */
  | { call: 'destroy' }
  /** An exit. Takes the vCPU until `stop`, or the end of the connection. An image comes as the frame's bytes. */
  | { call: 'run'; vcpu: number; at: number | null }
  /** The next exit; the frame's bytes are what the guest reads by the last one. */
  | { call: 'next' }
  /** The frame's bytes are as those of `next`. */
  | { call: 'stop' };

const PLAIN = ['vm', 'inspect', 'destroy', 'next', 'stop'] as const;

export function callToJson(call: HolderCall): object {
  return { protocol: PROTOCOL, ...call };
}

/** @throws SystemError EPROTO for what is no call; EPROTONOSUPPORT for one of another version. */
export function callFromJson(json: Record<string, unknown>): HolderCall {
  if (json.protocol !== PROTOCOL) {
    throw new SystemError('EPROTONOSUPPORT', {
      message: `the process that holds this VM speaks version ${PROTOCOL} of the protocol`,
      hint: 'destroy the VM with the vmmctl that made it',
    });
  }
  const { call, vcpu, at } = json;
  const plain = PLAIN.find((name) => name === call);
  if (plain !== undefined) return { call: plain };
  if (call !== 'run' || !isCount(vcpu) || !(at === null || isCount(at))) {
    throw new SystemError('EPROTO', { message: 'no call' });
  }
  return { call, vcpu, at };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

/** An exit as a frame has it: the bytes are those of kvm_run, then the data. */
export function exitToFrame({ reason, rip, run, data }: KvmExit): Frame {
  return { json: { exit: { reason, rip: String(rip) } }, binary: Buffer.concat([run, data]) };
}

/** @throws SystemError the error that was answered; EPROTO for what is no exit. */
export function exitFromFrame({ json, binary }: Frame): KvmExit {
  const { reason, rip } = (json.exit ?? {}) as Record<string, unknown>;
  const fine = isCount(reason) && typeof rip === 'string' && /^\d{1,20}$/.test(rip);
  if (!fine || binary.length < kvm_run.size) {
    throw new SystemError('EPROTO', { message: 'the answer is no exit of a vCPU' });
  }
  // Copies: what came is part of a larger piece.
  const run = Uint8Array.from(binary.subarray(0, kvm_run.size));
  const data = Uint8Array.from(binary.subarray(kvm_run.size));
  return { reason, rip: BigInt(rip), run, data };
}

/** An answer that is no error. @throws SystemError the error that was answered. */
export function goodAnswer(frame: Frame): Frame {
  if (frame.json.error !== undefined) throw errorFromWire(frame.json.error);
  return frame;
}

/** What a holder is to make, as it reads it. @throws SystemError EPROTO */
export function requestFromJson(json: Record<string, unknown>): KvmRequest {
  const { name, cpus, memory, labels, ephemeral } = json;
  if (typeof name === 'string' && isCount(cpus) && isCount(memory) && isLabels(labels)) {
    return { name, cpus, memory, labels, ephemeral: ephemeral === true };
  }
  throw new SystemError('EPROTO', { message: 'no request for a VM' });
}

function isLabels(value: unknown): value is Record<string, string> {
  if (typeof value !== 'object' || value === null) return false;
  return Object.values(value).every((label) => typeof label === 'string');
}
