/** The guest's connections to services. Source: VirtualBox' HGCM.cpp. */
import {
  HGCM_MAX_CLIENT_CALLS,
  HGCM_MAX_CLIENTS,
  type HgcmClientClass,
} from '../../../abi/hgcm.js';
import { VBOX_STATUS } from '../../../abi/vbox-err.js';
import type { HgcmCall, HgcmService } from '../hgcm-service.js';
import type { Charge } from './hgcm-callers.js';

/** The largest number of a client; then they begin again. */
const LAST_ID = 0x7fffffff;

/** A request that has not ended. */
export interface Command {
  readonly address: number;
  readonly size: number;
  readonly type: number;
  readonly charge: Charge;
  /** Of a call, once its service has it. */
  client?: Client;
  call?: HgcmCall;
}

export interface Client {
  readonly id: number;
  readonly service: HgcmService;
  readonly owner: HgcmClientClass;
  /** Calls under way. */
  readonly calls: Set<Command>;
}

export class Clients {
  readonly #services: ReadonlyMap<string, HgcmService>;
  readonly #clients = new Map<number, Client>();
  #nextId = 1;

  constructor(services: ReadonlyMap<string, HgcmService>) {
    this.#services = services;
  }

  get size(): number {
    return this.#clients.size;
  }

  find(id: number): Client | undefined {
    return this.#clients.get(id);
  }

  /** The new client, or the status with which it is refused. */
  connect(name: string, owner: HgcmClientClass): Client | number {
    const service = this.#services.get(name);
    if (service === undefined) return VBOX_STATUS.VERR_HGCM_SERVICE_NOT_FOUND;
    if (this.#count(service, owner) >= HGCM_MAX_CLIENTS[owner]) {
      return VBOX_STATUS.VERR_HGCM_TOO_MANY_CLIENTS;
    }
    const id = this.#freeId();
    const status = service.connect(id);
    if (status < 0) return status;
    const client = { id, service, owner, calls: new Set<Command>() };
    this.#clients.set(id, client);
    return client;
  }

  /** The client is gone before its service is told, so that nothing new can come from it. */
  disconnect(client: Client): void {
    this.#clients.delete(client.id);
    client.service.disconnect(client.id);
  }

  /** All are gone, and the services know it. */
  reset(): void {
    this.#clients.clear();
    for (const service of this.#services.values()) service.reset();
  }

  #count(service: HgcmService, owner: HgcmClientClass): number {
    let count = 0;
    for (const client of this.#clients.values()) {
      if (client.service === service && client.owner === owner) count++;
    }
    return count;
  }

  #freeId(): number {
    while (this.#clients.has(this.#nextId)) this.#step();
    const id = this.#nextId;
    this.#step();
    return id;
  }

  #step(): void {
    this.#nextId = this.#nextId === LAST_ID ? 1 : this.#nextId + 1;
  }
}

/** How many calls a client may have under way. */
export function mostCalls({ service, owner }: Client): number {
  return service.maxCalls ?? HGCM_MAX_CLIENT_CALLS[owner];
}
