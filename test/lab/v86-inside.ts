/** The inside of v86 beyond its declarations. It holds for the version that package.json names, exactly. */
import type { V86 } from 'v86';

interface Inside {
  readonly v86: {
    readonly cpu: {
      /** The time-stamp counter, lower half first; it counts nanoseconds. */
      readonly current_tsc: Uint32Array;
      store_current_tsc(): void;
      set_tsc(low: number, high: number): void;
      readonly io: {
        register_read(
          port: number,
          device: object,
          r8: undefined,
          r16: undefined,
          r32: () => number,
        ): void;
        register_write(
          port: number,
          device: object,
          w8?: (value: number) => void,
          w16?: undefined,
          w32?: (value: number) => void,
        ): void;
        mmap_register(
          address: number,
          size: number,
          read8: (address: number) => number,
          write8: (address: number, value: number) => void,
        ): void;
      };
      readonly devices: {
        readonly pci: {
          register_device(device: {
            pci_id: number;
            pci_space: number[];
            pci_bars: { size: number }[];
            name: string;
          }): void;
          raise_irq(id: number): void;
          lower_irq(id: number): void;
        };
      };
    };
  };
}

export function inside(emulator: V86): Inside['v86']['cpu'] {
  return (emulator as unknown as Inside).v86.cpu;
}
