/** What the handlers of the ioctls of /dev/vmm/NAME work on. */
import type { Clock } from '../clock.js';
import type { Caller } from '../node.js';
import type { MemoryLimits, VmmConfig } from './config.js';
import type { DevfsPaths } from './names.js';
import type { Vm } from './vm.js';

/** What the node needs of the registry of VMs. */
export interface VmHost {
  readonly config: VmmConfig;
  readonly clock: Clock;
  readonly limits: MemoryLimits;
  readonly paths: DevfsPaths;
  /** Tells that something of the VM that others see has changed. */
  changed(vm: Vm): void;
}

/** One open file description of the node. */
export interface VmFile {
  readonly host: VmHost;
  readonly vm: Vm;
  readonly caller: Caller;
}
