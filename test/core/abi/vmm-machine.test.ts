import t from 'tap';
import { vm_exitcode, vm_reg_name, vm_suspend_how } from '../../../src/core/abi/vmm-machine.js';

t.test('enumerations count from zero in the order of the header', async (t) => {
  t.equal(vm_reg_name.VM_REG_GUEST_RAX, 0);
  t.equal(vm_reg_name.VM_REG_GUEST_RIP, 20);
  t.equal(vm_exitcode.VM_EXITCODE_IPI, 24);
  t.equal(vm_suspend_how.VM_SUSPEND_DESTROY, 5);
});
