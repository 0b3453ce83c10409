/** A guest that calls a service as its device does: with parameters that the service changes in place. */
import { GUEST_PROP_FN } from '../../../../../src/core/abi/guest-prop.js';
import { VirtualClock } from '../../../../../src/core/simulator/clock.js';
import { Deadlines } from '../../../../../src/core/simulator/deadlines.js';
import type {
  HgcmCall,
  HgcmParameter,
  HgcmService,
} from '../../../../../src/core/simulator/vbox/hgcm-service.js';
import {
  GuestPropertyService,
  type HostVersion,
} from '../../../../../src/core/simulator/vbox/services/guest-properties.js';
import type { PropertyProfileName } from '../../../../../src/core/simulator/vbox/services/property-profile.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function u32(value = 0): HgcmParameter {
  return { type: 'u32', value };
}

export function u64(value = 0n): HgcmParameter {
  return { type: 'u64', value };
}

export function buffer(data: Uint8Array | number[]): HgcmParameter {
  return { type: 'buffer', data: Uint8Array.from(data) };
}

export function room(bytes: number): HgcmParameter {
  return { type: 'buffer', data: new Uint8Array(bytes) };
}

/** A text with a NUL behind it. */
export function str(text: string): HgcmParameter {
  return { type: 'buffer', data: encoder.encode(`${text}\0`) };
}

/** The number in a parameter. */
export function numberIn(parameter: HgcmParameter | undefined): number | bigint | undefined {
  return parameter?.type === 'u32' || parameter?.type === 'u64' ? parameter.value : undefined;
}

export function bytesIn(parameter: HgcmParameter | undefined): Uint8Array {
  return parameter?.type === 'buffer' ? parameter.data : new Uint8Array(0);
}

/** The texts in a buffer, as many as its bytes say. */
export function textsIn(parameter: HgcmParameter | undefined, bytes: number): string[] {
  return decoder.decode(bytesIn(parameter).subarray(0, bytes)).split('\0').slice(0, -1);
}

/** A call and how it ended. */
export class Call implements HgcmCall {
  readonly client: number;
  readonly function: number;
  readonly parameters: readonly HgcmParameter[];
  /** Its end; undefined while it waits. */
  status: number | undefined;
  ends = 0;

  constructor(client: number, fn: number, parameters: readonly HgcmParameter[]) {
    this.client = client;
    this.function = fn;
    this.parameters = parameters;
  }

  complete(status: number): void {
    this.ends++;
    this.status ??= status;
  }
}

export function call(
  service: HgcmService,
  fn: number,
  parameters: readonly HgcmParameter[],
  client = 1,
): Call {
  const made = new Call(client, fn, parameters);
  service.call(made);
  return made;
}

/** A service of guest properties with its clock, and the functions of a guest. */
export class PropertyLab {
  readonly clock = new VirtualClock();
  readonly deadlines = new Deadlines();
  readonly service: GuestPropertyService;

  constructor(profile: PropertyProfileName = 'v7', hostVersion?: HostVersion) {
    this.service = new GuestPropertyService({
      clock: this.clock,
      profile,
      ...(hostVersion === undefined ? {} : { hostVersion }),
    });
  }

  get now(): bigint {
    return BigInt(this.clock.wallMs()) * 1_000_000n;
  }

  call(fn: number, ...parameters: HgcmParameter[]): Call {
    return call(this.service, fn, parameters);
  }

  set(name: string, value: string, flags?: string): number | undefined {
    const parameters = [str(name), str(value), ...(flags === undefined ? [] : [str(flags)])];
    return this.call(GUEST_PROP_FN.GUEST_PROP_FN_SET_PROP, ...parameters).status;
  }

  delete(name: string): number | undefined {
    return this.call(GUEST_PROP_FN.GUEST_PROP_FN_DEL_PROP, str(name)).status;
  }

  /** Value and flags, or the status. */
  get(name: string, bytes = 4096): string[] | number | undefined {
    const made = this.call(
      GUEST_PROP_FN.GUEST_PROP_FN_GET_PROP,
      str(name),
      room(bytes),
      u64(),
      u32(),
    );
    if (made.status !== 0) return made.status;
    return textsIn(made.parameters[1], Number(numberIn(made.parameters[3])));
  }

  /** Names that a guest is told for some patterns, without those that the service has from the start. */
  names(patterns: HgcmParameter): string[] | number | undefined {
    const made = this.call(GUEST_PROP_FN.GUEST_PROP_FN_ENUM_PROPS, patterns, room(100_000), u32());
    if (made.status !== 0) return made.status;
    const texts = textsIn(made.parameters[1], Number(numberIn(made.parameters[2])));
    return texts
      .filter((_text, index) => index % 4 === 0)
      .filter((name) => name !== '' && !name.startsWith('/VirtualBox/'));
  }

  wait(patterns: string, timestamp = 0n, { client = 1, bytes = 4096 } = {}): Call {
    const parameters = [str(patterns), u64(timestamp), room(bytes), u32()];
    return call(this.service, GUEST_PROP_FN.GUEST_PROP_FN_GET_NOTIFICATION, parameters, client);
  }
}

/** The change that a wait ended with: time, and the texts of its buffer. */
export function changeIn({ parameters: [, timestamp, data, size] }: Call): {
  timestamp: number | bigint | undefined;
  texts: string[];
} {
  return { timestamp: numberIn(timestamp), texts: textsIn(data, Number(numberIn(size))) };
}
