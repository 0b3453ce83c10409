/** What a host service is to the device: connections of guests, and calls with parameters. */

/** As the host has it: a buffer's contents, which the service changes in place. It can't change its size. */
export type HgcmParameter =
  | { readonly type: 'u32'; value: number }
  | { readonly type: 'u64'; value: bigint }
  | { readonly type: 'buffer'; readonly data: Uint8Array };

export interface HgcmCall {
  /** The client's number, unique on its device. */
  readonly client: number;
  readonly function: number;
  readonly parameters: readonly HgcmParameter[];
  /** Ends the call with a status of VirtualBox; parameters are then copied to the guest. Later ends do nothing. */
  complete(status: number): void;
}

export interface HgcmService {
  /** Calls that one client may have under way at once. */
  readonly maxCalls?: number;
  /** A status; the client is refused when it is negative. */
  connect(client: number): number;
  /** Ends the calls of the client that wait. */
  disconnect(client: number): void;
  /** Ends it now or later. */
  call(call: HgcmCall): void;
  /** The guest no longer waits for a call; to complete it does nothing from now on. */
  cancelled(call: HgcmCall): void;
  /** The guest was reset: all its clients are gone. */
  reset(): void;
}
