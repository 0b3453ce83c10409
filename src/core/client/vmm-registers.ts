/** What a vCPU of bhyve is made of: registers, descriptors, capabilities, what waits for it. */
import { type ErrorCode, SystemError } from '../abi/errno.js';
import {
  VMM_IOCTLS,
  vm_capability,
  vm_intinfo,
  vm_register,
  vm_seg_desc,
  vm_x2apic,
} from '../abi/vmm.js';
import { vm_reg_name, x2apic_state } from '../abi/vmm-machine.js';
import { CAPABILITY_NAMES, REGISTER_NAMES } from '../abi/vmm-names.js';
import type { CallOptions, DeviceNode } from '../backend/port/node.js';
import { codeOf } from './explain.js';

/** What `inspect --vcpu` adds to a VM. */
export interface VcpuDetails {
  vcpu: number;
  /** By the header's names in lower case; null is one that the processor does not have. */
  registers: Record<string, bigint | null>;
  descriptors: Record<string, { base: bigint; limit: number; access: number }>;
  /** By libvmmapi's names; null is one that the host's processor does not have. */
  capabilities: Record<string, number | null>;
  x2apic: boolean;
  /** The event that was being injected at the last exit, and one that waits: the bits of VM_INTINFO_*. */
  intinfo: { info1: bigint; info2: bigint };
}

/** Those that have a hidden part. */
const DESCRIPTORS = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'LDTR', 'TR', 'IDTR', 'GDTR'] as const;

/**
 * Reading stops a vCPU that runs for a moment.
 * @throws SystemError EINVAL for a vCPU that the VM can't have.
 */
export async function readVcpu(
  node: DeviceNode,
  vcpu: number,
  options: CallOptions = {},
): Promise<VcpuDetails> {
  const ask = new Asker(node, vcpu, options);
  return {
    vcpu,
    registers: await ask.registers(),
    descriptors: await ask.descriptors(),
    capabilities: await ask.capabilities(),
    x2apic: await ask.x2apic(),
    intinfo: await ask.intinfo(),
  };
}

class Asker {
  readonly #node: DeviceNode;
  readonly #vcpu: number;
  readonly #options: CallOptions;

  constructor(node: DeviceNode, vcpu: number, options: CallOptions) {
    this.#node = node;
    this.#vcpu = vcpu;
    this.#options = options;
  }

  async registers(): Promise<Record<string, bigint | null>> {
    const values: Record<string, bigint | null> = {};
    for (const [regnum, name] of REGISTER_NAMES.entries()) {
      values[name.toLowerCase()] = await this.#register(regnum).catch(unless('EINVAL'));
    }
    // A kernel without any has no such vCPU.
    if (values.rax === null) {
      throw new SystemError('EINVAL', { message: `the VM has no vCPU ${this.#vcpu}` });
    }
    return values;
  }

  async #register(regnum: number): Promise<bigint> {
    const argument = vm_register.encode({ cpuid: this.#vcpu, regnum });
    const data = await this.#call(VMM_IOCTLS.VM_GET_REGISTER.number, argument);
    return vm_register.decode(data).regval;
  }

  async descriptors(): Promise<VcpuDetails['descriptors']> {
    const values: VcpuDetails['descriptors'] = {};
    for (const name of DESCRIPTORS) {
      const regnum = vm_reg_name[`VM_REG_GUEST_${name}`];
      const argument = vm_seg_desc.encode({ cpuid: this.#vcpu, regnum });
      const data = await this.#call(VMM_IOCTLS.VM_GET_SEGMENT_DESCRIPTOR.number, argument);
      values[name.toLowerCase()] = vm_seg_desc.decode(data).desc;
    }
    return values;
  }

  async capabilities(): Promise<VcpuDetails['capabilities']> {
    const values: VcpuDetails['capabilities'] = {};
    for (const [captype, name] of CAPABILITY_NAMES.entries()) {
      // ENOENT: the processor lacks it; EINVAL: the kernel is older than it.
      values[name] = await this.#capability(captype).catch(unless('ENOENT', 'EINVAL'));
    }
    return values;
  }

  async #capability(captype: number): Promise<number> {
    const argument = vm_capability.encode({ cpuid: this.#vcpu, captype });
    const data = await this.#call(VMM_IOCTLS.VM_GET_CAPABILITY.number, argument);
    return vm_capability.decode(data).capval;
  }

  async x2apic(): Promise<boolean> {
    const argument = vm_x2apic.encode({ cpuid: this.#vcpu });
    const data = await this.#call(VMM_IOCTLS.VM_GET_X2APIC_STATE.number, argument);
    return vm_x2apic.decode(data).state === x2apic_state.X2APIC_ENABLED;
  }

  async intinfo(): Promise<VcpuDetails['intinfo']> {
    const argument = vm_intinfo.encode({ vcpuid: this.#vcpu });
    const data = await this.#call(VMM_IOCTLS.VM_GET_INTINFO.number, argument);
    const { info1, info2 } = vm_intinfo.decode(data);
    return { info1, info2 };
  }

  async #call(request: number, argument: Uint8Array): Promise<Uint8Array> {
    return (await this.#node.ioctl(request, argument, this.#options)).data;
  }
}

/** Null in place of those errors. */
function unless(...codes: readonly ErrorCode[]): (error: unknown) => null {
  return (error) => {
    const code = codeOf(error);
    if (code !== undefined && codes.includes(code)) return null;
    throw error;
  };
}
