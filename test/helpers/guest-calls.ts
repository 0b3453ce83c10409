/** A VM whose guest runs, what a program in it calls, and how its VM is switched. */
import { VMM_IOCTLS, vm_suspend } from '../../src/core/abi/vmm.js';
import type { Domain } from '../../src/core/simulator/domain.js';
import { ROOT } from '../../src/core/simulator/node.js';
import { connectArgument } from '../core/simulator/vbox/driver/arbitrary-calls.js';
import { argument, Call } from '../core/simulator/vbox/driver/guest.js';
import { allocMemseg, prompt } from './vmm.js';
import type { testWorld } from './world.js';

const MIB = 2 ** 20;
const CLIENT_ID_AT = 24;
const FOR_EVER = 0xffffffff;

type TestWorld = ReturnType<typeof testWorld>;

/** Gives a VM memory, by which its guest boots. */
export function boot(lab: TestWorld, name: string, bytes = 512 * MIB): Domain {
  allocMemseg(lab.world.host.open(`/dev/vmm/${name}`, ROOT, 'rw'), 0, BigInt(bytes));
  const domain = lab.world.domain(name, ROOT);
  lab.pass(0);
  return domain;
}

/** A call of VmmctlEcho's that ends only with its client. */
export function hangs({ machine }: Domain): Call {
  const node = machine.open('/dev/vboxguest', ROOT, 'rw');
  const { request, bytes } = connectArgument('VmmctlEcho');
  const client = new Call(node, request, bytes).word(CLIENT_ID_AT);
  return new Call(node, 0xc0285607, argument([client, 4, FOR_EVER, 0]));
}

/** A wait for events. */
export function waitsForEvents({ machine }: Domain): Call {
  const node = machine.open('/dev/vboxuser', ROOT, 'rw');
  return new Call(node, 0xc020560a, argument([FOR_EVER, 4], { sizeOut: 28 }));
}

/** VM_SUSPEND. @param how of vm_suspend_how. */
export function suspend({ world }: TestWorld, name: string, how: number): void {
  const node = prompt(world.host.open(`/dev/vmm/${name}`, ROOT, 'rw'));
  node.ioctl(VMM_IOCTLS.VM_SUSPEND.number, vm_suspend.encode({ how }));
  world.settle();
}

/** VM_REINIT. */
export function reinit({ world }: TestWorld, name: string): void {
  prompt(world.host.open(`/dev/vmm/${name}`, ROOT, 'rw')).ioctl(VMM_IOCTLS.VM_REINIT.number, 0);
  world.settle();
}
