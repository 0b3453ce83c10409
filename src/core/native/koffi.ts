/** koffi, loaded at the first need: most commands never call libc. */
import type koffi from 'koffi';

export type Koffi = typeof koffi;

/** This machine has no koffi, so no system call can be made. */
export class NativeMissingError extends Error {
  constructor(cause: unknown) {
    super(`system calls need the package koffi, which has no binary for ${platform()} here`, {
      cause,
    });
    this.name = 'NativeMissingError';
  }
}

let loading: Promise<Koffi> | undefined;

/** @throws NativeMissingError where the package, or its binary for this platform, is not installed. */
export function loadKoffi(): Promise<Koffi> {
  loading ??= import('koffi').then(
    (module) => module.default,
    (error) => {
      throw new NativeMissingError(error);
    },
  );
  return loading;
}

function platform(): string {
  return `${process.platform}-${process.arch}`;
}
