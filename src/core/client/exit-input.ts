/** Answers to a guest that reads: what bhyve(8) and other programs that run vCPUs emulate. */
import { VMM_IOCTLS, vm_register } from '../abi/vmm.js';
import { vm_reg_name } from '../abi/vmm-machine.js';
import type { KvmExit } from '../backend/port/kvm.js';
import type { CallOptions, DeviceNode } from '../backend/port/node.js';
import type { Exit } from './exits.js';
import { decodeKvmExit } from './kvm-exits.js';

/** What is read, by the number of a port or the guest physical address of a device. */
export type Inputs = ReadonlyMap<bigint, bigint>;

/** The same exits of bhyve; after one that reads a port RAX has what is read there, before the vCPU goes on. */
export async function* answered(
  exits: AsyncIterable<Exit>,
  node: DeviceNode,
  inputs: Inputs,
  options: CallOptions = {},
): AsyncGenerator<Exit> {
  for await (const exit of exits) {
    const { vcpu, exit: name, in: isRead, port } = exit.record;
    const value = typeof port === 'number' ? inputs.get(BigInt(port)) : undefined;
    if (name === 'INOUT' && isRead === true && value !== undefined) {
      await setRax(node, vcpu, merged(exit, value), options);
    }
    yield exit;
  }
}

/** An instruction of 1 or 2 bytes leaves the rest of EAX as it is. */
function merged({ record: { bytes, eax } }: Exit, value: bigint): bigint {
  const mask = (1n << BigInt(Number(bytes) * 8)) - 1n;
  return (BigInt(Number(eax)) & ~mask & 0xffffffffn) | (value & mask);
}

async function setRax(
  node: DeviceNode,
  cpuid: number,
  regval: bigint,
  options: CallOptions,
): Promise<void> {
  const argument = vm_register.encode({ cpuid, regnum: vm_reg_name.VM_REG_GUEST_RAX, regval });
  await node.ioctl(VMM_IOCTLS.VM_SET_REGISTER.number, argument, options);
}

/** What a guest of KVM reads after an exit: undefined when nothing is known of the place. */
export function kvmAnswer(inputs: Inputs): (exit: KvmExit) => Uint8Array | undefined {
  return (exit) => {
    const { port, size, count, phys_addr, len } = decodeKvmExit(0, exit).record;
    if (typeof phys_addr === 'bigint') return bytesOf(inputs.get(phys_addr), Number(len), 1);
    if (typeof port !== 'number') return undefined;
    return bytesOf(inputs.get(BigInt(port)), Number(size), Number(count));
  };
}

/** Little endian, so many times. */
function bytesOf(
  value: bigint | undefined,
  size: number,
  count: number,
): Uint8Array<ArrayBuffer> | undefined {
  if (value === undefined) return undefined;
  const one = Uint8Array.from({ length: size }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
  const all = new Uint8Array(size * count);
  for (let i = 0; i < count; i++) all.set(one, i * size);
  return all;
}
