/** A guest with all its parts: the host's device and services, the guest's memory, driver and agent. */
import { VirtualClock } from '../../../../../src/core/simulator/clock.js';
import { Deadlines } from '../../../../../src/core/simulator/deadlines.js';
import { ROOT } from '../../../../../src/core/simulator/node.js';
import { SeededRng } from '../../../../../src/core/simulator/rng.js';
import { GuestAgent } from '../../../../../src/core/simulator/vbox/agent/agent.js';
import { VmmDev } from '../../../../../src/core/simulator/vbox/device/vmmdev.js';
import { VboxGuestDriver } from '../../../../../src/core/simulator/vbox/driver/driver.js';
import { GuestMemory } from '../../../../../src/core/simulator/vbox/guest-memory.js';
import { GuestPropertyService } from '../../../../../src/core/simulator/vbox/services/guest-properties.js';
import { makeServices } from '../../../../../src/core/simulator/vbox/services/table.js';
import { pass } from '../../../../helpers/time.js';

const MIB = 2 ** 20;

export class AgentMachine {
  readonly clock = new VirtualClock();
  readonly deadlines = new Deadlines();
  readonly guestLog: string[] = [];
  readonly hostLog: string[] = [];
  readonly properties = new GuestPropertyService({ clock: this.clock });
  readonly memory = new GuestMemory({ size: () => 512 * MIB });
  readonly device: VmmDev;
  readonly driver: VboxGuestDriver;
  readonly agent: GuestAgent;

  constructor({ cpus = 2 } = {}) {
    const { clock, deadlines, properties, memory } = this;
    this.device = new VmmDev({
      memory,
      clock,
      deadlines,
      rng: new SeededRng(1),
      services: makeServices({ clock, deadlines, guestProperties: properties }),
      setInterrupt: (raised) => {
        if (raised) this.driver.interrupt();
      },
      log: (text) => void this.hostLog.push(text),
    });
    const log = (text: string): void => void this.guestLog.push(text);
    this.driver = new VboxGuestDriver({ pages: memory, ports: this.device, clock, deadlines, log });
    this.agent = new GuestAgent({
      clock,
      deadlines,
      log,
      open: () => this.driver.open('vboxguest', ROOT),
      facts: {
        hostname: 'web1',
        cpus: () => cpus,
        memoryBytes: () => memory.size,
        freeBytes: () => memory.free,
      },
    });
  }

  boot(): void {
    this.driver.start();
    this.agent.start();
    this.advance(0);
  }

  /** As the machine's reset button. */
  reset(): void {
    this.agent.kill();
    this.device.reset();
    this.driver.reset();
    this.agent.start();
    this.advance(0);
  }

  advance(ms: number): void {
    pass(this.clock, this.deadlines, ms);
  }

  /** What the host is told in a property; undefined when there is none. */
  property(name: string): string | undefined {
    const found = this.properties.get(`/VirtualBox/${name}`);
    return typeof found === 'number' ? undefined : found.value;
  }
}
