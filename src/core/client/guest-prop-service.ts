/** The guest's side of guest properties: calls to the service VBoxGuestPropSvc, as VirtualBox' own library makes them. */
import { SystemError } from '../abi/errno.js';
import {
  GUEST_PROP_FN,
  GUEST_PROP_MAX_FLAGS_LEN,
  GUEST_PROP_MAX_VALUE_LEN,
} from '../abi/guest-prop.js';
import { VBOX_STATUS } from '../abi/vbox-err.js';
import type { GuestProperty, GuestPropertyChange } from '../backend/port/guest.js';
import type { CallOptions, DeviceNode } from '../backend/port/node.js';
import type { GuestProperties } from './guest-properties.js';
import { type HgcmParameter, hgcmCall, hgcmConnect } from './hgcm.js';
import { type StatusWords, vboxError } from './vbox-error.js';

const SERVICE = 'VBoxGuestPropSvc';
/** How often a buffer is made larger when it is too small; properties may change between two calls. */
const TRIES = 10;
const FIRST_LIST_SIZE = 4096;
const FIRST_VALUE_SIZE = GUEST_PROP_MAX_VALUE_LEN + GUEST_PROP_MAX_FLAGS_LEN;
/** More than a change needs: one for which the buffer was too small is not told again. */
const FIRST_CHANGE_SIZE = 16 * 1024;
/** A service that asks for a larger buffer is not believed, bytes. */
const MAX_BUFFER = 16 * 1024 * 1024;

const NO_SERVICE = ['the host has no guest properties'] as const;
const CONNECT_WORDS: StatusWords = {
  VERR_HGCM_SERVICE_NOT_FOUND: NO_SERVICE,
  VERR_NOT_IMPLEMENTED: NO_SERVICE,
  VERR_NOT_SUPPORTED: NO_SERVICE,
};

/**
 * A client of the service. It lives until the node is closed.
 * @throws SystemError EOPNOTSUPP for a host that has no guest properties.
 */
export async function guestProperties(node: DeviceNode): Promise<GuestProperties> {
  return new PropertyService(node, await connect(node));
}

async function connect(node: DeviceNode): Promise<number> {
  try {
    return await hgcmConnect(node, SERVICE, CONNECT_WORDS);
  } catch (error) {
    const { code, message, cause } = error as SystemError;
    const isMissing = error instanceof SystemError && code === 'ENOENT';
    throw isMissing ? new SystemError('EOPNOTSUPP', { message, cause }) : error;
  }
}

class PropertyService implements GuestProperties {
  readonly #node: DeviceNode;
  readonly #client: number;
  /** That of the last change that was seen, so that the next one after it is not missed. */
  #timestamp = 0n;

  constructor(node: DeviceNode, client: number) {
    this.#node = node;
    this.#client = client;
  }

  async get(name: string): Promise<GuestProperty> {
    const answer = await this.#read(
      GUEST_PROP_FN.GUEST_PROP_FN_GET_PROP,
      (buffer) => [text(name), buffer, { type: 'u64', value: 0n }, { type: 'u32', value: 0 }],
      FIRST_VALUE_SIZE,
      wordsFor(name),
    );
    const [value = '', flags = ''] = strings(answer.buffer);
    return { name, value, timestamp: String(answer.timestamp), flags: flagNames(flags) };
  }

  async set(name: string, value: string, flags?: string): Promise<void> {
    const parameters = [text(name), text(value), ...(flags === undefined ? [] : [text(flags)])];
    await this.#write(GUEST_PROP_FN.GUEST_PROP_FN_SET_PROP_VALUE, parameters, name);
  }

  async delete(name: string): Promise<void> {
    await this.#write(GUEST_PROP_FN.GUEST_PROP_FN_DEL_PROP, [text(name)], name);
  }

  async list(pattern: string): Promise<GuestProperty[]> {
    const { buffer } = await this.#read(
      GUEST_PROP_FN.GUEST_PROP_FN_ENUM_PROPS,
      (buffer) => [text(pattern), buffer, { type: 'u32', value: 0 }],
      FIRST_LIST_SIZE,
      {},
    );
    return parseProperties(buffer);
  }

  async next(pattern: string, options: CallOptions): Promise<GuestPropertyChange> {
    const answer = await this.#read(
      GUEST_PROP_FN.GUEST_PROP_FN_GET_NOTIFICATION,
      (buffer) => [
        text(pattern),
        { type: 'u64', value: this.#timestamp },
        buffer,
        { type: 'u32', value: 0 },
      ],
      FIRST_CHANGE_SIZE,
      {},
      options,
    );
    this.#timestamp = answer.timestamp;
    const [name = '', value = '', flags = '', mark] = strings(answer.buffer);
    // Hosts before 7.0 have no mark.
    const deleted = mark ? mark === '1' : value === '' && flags === '';
    const timestamp = String(answer.timestamp);
    return { name, value, timestamp, flags: flagNames(flags), deleted };
  }

  async #write(
    functionNumber: number,
    parameters: readonly HgcmParameter[],
    name: string,
  ): Promise<void> {
    const { status } = await hgcmCall(this.#node, this.#client, functionNumber, parameters);
    // A host that lets the guest change nothing says so in a success.
    if (status < 0 || status === VBOX_STATUS.VINF_PERMISSION_DENIED) {
      throw vboxError(status, wordsFor(name));
    }
  }

  /** Calls again with a larger buffer when the service says that it needs one, in the last parameter. */
  async #read(
    functionNumber: number,
    parameters: (buffer: HgcmParameter) => HgcmParameter[],
    firstSize: number,
    words: StatusWords,
    options: CallOptions = {},
  ): Promise<{ buffer: Uint8Array; timestamp: bigint }> {
    let size = firstSize;
    for (let tries = 1; ; tries++) {
      const given = parameters({ type: 'out', data: new Uint8Array(size) });
      const answer = await hgcmCall(this.#node, this.#client, functionNumber, given, options);
      const { buffer, timestamp, needed } = valuesOf(answer.parameters);
      if (answer.status >= 0 && answer.status !== VBOX_STATUS.VINF_BUFFER_OVERFLOW) {
        return { buffer, timestamp };
      }
      const tooSmall = Math.abs(answer.status) === VBOX_STATUS.VINF_BUFFER_OVERFLOW;
      if (!tooSmall || tries === TRIES || needed > MAX_BUFFER) {
        throw vboxError(answer.status, words);
      }
      size = Math.max(needed, size * 2);
    }
  }
}

function valuesOf(parameters: readonly HgcmParameter[]) {
  const values = { buffer: new Uint8Array(0), timestamp: 0n, needed: 0 };
  for (const parameter of parameters) {
    if (parameter.type === 'out') values.buffer = new Uint8Array(parameter.data);
    if (parameter.type === 'u64') values.timestamp = parameter.value;
    if (parameter.type === 'u32') values.needed = parameter.value;
  }
  return values;
}

function wordsFor(name: string): StatusWords {
  const denied = [`the guest may not change '${name}'`] as const;
  return {
    VERR_NOT_FOUND: [`no property '${name}'`],
    VERR_PERMISSION_DENIED: denied,
    VINF_PERMISSION_DENIED: ['the host lets the guest change no property'],
    VERR_TOO_MUCH_DATA: [`'${name}' is too long, or there are too many properties`],
    VERR_PARSE_ERROR: ['the host does not know these flags'],
    VERR_INVALID_PARAMETER: [`the host does not take '${name}' with that value`],
  };
}

/** A string as the service wants it, with the NUL that ends it. */
function text(value: string): HgcmParameter {
  return { type: 'in', data: new TextEncoder().encode(`${value}\0`) };
}

/** The strings in a buffer that end with a NUL. */
function strings(buffer: Uint8Array): string[] {
  const parts = new TextDecoder('utf-8', { ignoreBOM: true }).decode(buffer).split('\0');
  return parts.slice(0, -1);
}

/** Four strings a property: name, value, timestamp, flags. An empty name is the end. */
function parseProperties(buffer: Uint8Array): GuestProperty[] {
  const found: GuestProperty[] = [];
  const parts = strings(buffer);
  for (let at = 0; at + 4 <= parts.length; at += 4) {
    const [name = '', value = '', timestamp = '', flags = ''] = parts.slice(at, at + 4);
    if (name === '') break;
    found.push({ name, value, timestamp, flags: flagNames(flags) });
  }
  return found;
}

/** `TRANSIENT, RDONLYGUEST` */
function flagNames(text: string): string[] {
  return text.split(/[, ]+/).filter((name) => name !== '');
}
