/**
 * A PC inside this process: the emulator v86, and a PCI bus for devices that are written in TypeScript. What is used
 * of v86 beyond its declarations is in `v86-inside.ts`.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { V86 } from 'v86';
import { inside } from './v86-inside.js';

/** Firmware of Debian's package seabios. */
export const FIRMWARE = '/usr/share/seabios/bios.bin';
export const VGA_FIRMWARE = '/usr/share/seabios/vgabios.bin';

const MIB = 2 ** 20;
/** The bus has nothing else in that slot, nor there in memory: v86 can't move a device's memory. */
const PCI_SLOT = 4;
const MEMORY_BASE = 0xf0000000;
/** Where the firmware finds the device's ports; it may move them. */
const PORT_BASE = 0xd000;
/** How much of what a machine says is kept, characters. */
const CONSOLE_MAX = 200_000;
/** The serial port that leads to the lab; the first one is the kernel's console. */
const CHANNEL = 1;

/** A device as a driver reaches it; sizes in bytes, powers of two. */
export interface PciDevice {
  readonly vendor: number;
  readonly device: number;
  /** Class, subclass and interface, 24 bits. */
  readonly class: number;
  /** BAR0, used with 32 bits at once. */
  readonly ports: {
    readonly size: number;
    readonly read: ReadonlyMap<number, () => number>;
    readonly write: ReadonlyMap<number, (value: number) => void>;
  };
  /** BAR1, which is only read. */
  readonly memory: { readonly size: number; read(offset: number): number };
}

/** Memory of the machine, as its devices reach it. */
export interface MachineMemory {
  readonly size: number;
  /** A copy. @throws RangeError where there is none. */
  read(address: number, length: number): Uint8Array;
  /** @throws RangeError where there is none. */
  write(address: number, data: Uint8Array): void;
}

export interface V86Boot {
  kernel: Uint8Array;
  initramfs: Uint8Array;
  commandLine: string;
  memoryMiB: number;
}

export class V86Machine {
  readonly memory: MachineMemory;
  readonly #emulator: V86;
  #console = '';

  private constructor(emulator: V86, memoryBytes: number) {
    this.#emulator = emulator;
    this.memory = machineMemory(emulator, memoryBytes);
    emulator.add_listener('serial0-output-byte', (byte) => {
      this.#console = (this.#console + String.fromCharCode(byte)).slice(-CONSOLE_MAX);
    });
  }

  /** A machine that stands still until `run`, so that devices can be put in. */
  static async create(boot: V86Boot): Promise<V86Machine> {
    const memoryBytes = boot.memoryMiB * MIB;
    const emulator = new V86({
      wasm_path: createRequire(import.meta.url).resolve('v86/build/v86.wasm'),
      memory_size: memoryBytes,
      vga_memory_size: MIB,
      bios: image(readFileSync(FIRMWARE)),
      vga_bios: image(readFileSync(VGA_FIRMWARE)),
      bzimage: image(boot.kernel),
      initrd: image(boot.initramfs),
      cmdline: boot.commandLine,
      uart1: true,
      disable_speaker: true,
      autostart: false,
    });
    await new Promise<void>((resolve) => emulator.add_listener('emulator-loaded', resolve));
    return new V86Machine(emulator, memoryBytes);
  }

  /** What the kernel has said. */
  get console(): string {
    return this.#console.replaceAll('\r', '');
  }

  run(): Promise<void> {
    return this.#emulator.run();
  }

  /** Its processor stops, and with it all that the guest does; time goes on. */
  stop(): Promise<void> {
    return this.#emulator.stop();
  }

  /** The time-stamp counter, by which the guest knows the time, jumps. */
  skip(ms: number): void {
    const cpu = inside(this.#emulator);
    cpu.store_current_tsc();
    const [low = 0, high = 0] = cpu.current_tsc;
    const later = ((BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)) + BigInt(ms) * 1_000_000n;
    cpu.set_tsc(Number(BigInt.asIntN(32, later)), Number(BigInt.asIntN(32, later >> 32n)));
  }

  destroy(): Promise<void> {
    return this.#emulator.destroy();
  }

  onChannelLine(listener: (line: string) => void): void {
    let line = '';
    this.#emulator.add_listener('serial1-output-byte', (byte) => {
      if (byte !== 0x0a) line += String.fromCharCode(byte);
      else {
        listener(line);
        line = '';
      }
    });
  }

  sendChannel(text: string): void {
    this.#emulator.serial_send_bytes(CHANNEL, Buffer.from(text));
  }

  /** Puts the device in. What is given back sets the level of its interrupt line. */
  attach(device: PciDevice): (raised: boolean) => void {
    const { io, devices } = inside(this.#emulator);
    for (const [offset, read] of device.ports.read) {
      io.register_read(PORT_BASE + offset, device, undefined, undefined, read);
    }
    for (const [offset, write] of device.ports.write) {
      const unsigned = (value: number) => write(value >>> 0);
      io.register_write(PORT_BASE + offset, device, undefined, undefined, unsigned);
    }
    const read = (address: number) => device.memory.read((address >>> 0) - MEMORY_BASE);
    io.mmap_register(MEMORY_BASE, device.memory.size, read, () => undefined);
    const id = PCI_SLOT << 3;
    devices.pci.register_device({
      pci_id: id,
      pci_space: [...configuration(device)],
      pci_bars: [{ size: device.ports.size }, { size: device.memory.size }],
      name: 'lab',
    });
    return (raised) => {
      if (raised) devices.pci.raise_irq(id);
      else devices.pci.lower_irq(id);
    };
  }

  /** A port of the machine itself that is written in bytes. */
  onPortByte(port: number, listener: (byte: number) => void): void {
    inside(this.#emulator).io.register_write(port, this, listener);
  }

  /** The same for 32 bits at once. */
  onPortWord(port: number, listener: (word: number) => void): void {
    const unsigned = (word: number) => listener(word >>> 0);
    inside(this.#emulator).io.register_write(port, this, undefined, undefined, unsigned);
  }

  /** A port of the machine itself that is read with 32 bits at once. */
  givePortWord(port: number, give: () => number): void {
    inside(this.#emulator).io.register_read(port, this, undefined, undefined, give);
  }
}

function image(bytes: Uint8Array): { buffer: ArrayBuffer } {
  return { buffer: new Uint8Array(bytes).buffer };
}

/** The standard header; what is left out is zero. VirtualBox' device has no subsystem, and Linux' driver insists. */
function configuration(device: PciDevice): Uint8Array {
  const header = new DataView(new ArrayBuffer(64));
  header.setUint16(0x00, device.vendor, true);
  header.setUint16(0x02, device.device, true);
  header.setUint32(0x08, device.class << 8, true);
  header.setUint32(0x10, PORT_BASE | 1, true);
  header.setUint32(0x14, MEMORY_BASE, true);
  header.setUint8(0x3d, 1);
  return new Uint8Array(header.buffer);
}

function machineMemory(emulator: V86, size: number): MachineMemory {
  const check = (address: number, length: number) => {
    if (address >= 0 && length >= 0 && address + length <= size) return;
    throw new RangeError(`${length} bytes at ${address} are not in RAM`);
  };
  return {
    size,
    read(address, length) {
      check(address, length);
      return length === 0 ? new Uint8Array() : emulator.read_memory(address, length).slice();
    },
    write(address, data) {
      check(address, data.length);
      emulator.write_memory(data, address);
    },
  };
}
