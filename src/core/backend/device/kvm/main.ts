/**
 * The process that holds a VM of KVM. It reads what to make as a line of JSON, says `{vm}` or an error on descriptor 3, and
 * answers on the VM's socket until the VM is destroyed, a signal comes or, when the VM is ephemeral, its input ends.
 */
import { appendFileSync, closeSync, rmSync, writeSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { SystemError } from '../../../abi/errno.js';
import { closeInherited } from '../../../daemon/inherited.js';
import { kvmDirectory, makeRuntimeDirectory } from '../../../daemon/paths.js';
import { errorToWire, parseObject } from '../../../daemon/wire.js';
import { endThreads } from '../../../native/blocking.js';
import { loadLibc } from '../../../native/libc.js';
import type { KvmRequest } from '../../port/kvm.js';
import type { VmRecord } from '../../port/vm.js';
import { native } from '../errors.js';
import { HeldVm } from './holder.js';
import { claim, socketPath } from './places.js';
import { requestFromJson } from './protocol.js';
import { Session } from './session.js';
import { KvmVm } from './vm.js';

const READY_FD = 3;
/** The longest line that it reads, bytes. */
const MAX_REQUEST = 1024 * 1024;
const MAX_CLIENTS = 64;

class Holder {
  readonly #server: Server;
  readonly #path: string;
  readonly #vm: HeldVm;
  #ending: Promise<void> | undefined;

  private constructor(vm: HeldVm, server: Server, path: string) {
    this.#vm = vm;
    this.#server = server;
    this.#path = path;
  }

  /** The name is claimed before the VM is made, so that there is never a second one. */
  static async start(request: KvmRequest): Promise<Holder> {
    const directory = kvmDirectory();
    makeRuntimeDirectory(directory);
    const path = socketPath(directory, request.name);
    const server = createServer();
    server.maxConnections = MAX_CLIENTS;
    await claim(server, path);
    try {
      const libc = await native(loadLibc());
      const made = await KvmVm.create(libc, request.cpus, request.memory);
      const vm = new HeldVm(request, made, new Date().toISOString());
      const holder = new Holder(vm, server, path);
      server.on('connection', (socket) => new Session(vm, socket, holder));
      return holder;
    } catch (error) {
      rmSync(path, { force: true });
      throw error;
    }
  }

  get record(): VmRecord {
    return this.#vm.record();
  }

  /** The socket goes last, and with it the claim to the name. */
  destroy(): Promise<void> {
    this.#ending ??= this.#vm.close().then(async () => {
      await endThreads();
      rmSync(this.#path, { force: true });
      this.#server.close();
    });
    return this.#ending;
  }

  exit(): void {
    process.exit(0);
  }

  /** A defect of ours. Nobody watches us, so the words are kept beside the socket. */
  fail(error: Error): void {
    appendFileSync(`${this.#path}.log`, `${new Date().toISOString()} ${error.stack}\n`);
    process.exitCode = 1;
    this.end();
  }

  end(): void {
    this.destroy().then(
      () => process.exit(),
      () => process.exit(1),
    );
  }
}

/** Reads the first line of the input; what follows is nobody's. `onEnd` is called when the input ends. */
function readLine(onEnd: () => void): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    process.stdin.setEncoding('utf8');
    process.stdin.on('data', (chunk: string) => {
      text += chunk;
      const end = text.indexOf('\n');
      if (end >= 0) resolve(text.slice(0, end));
      if (text.length > MAX_REQUEST)
        reject(new SystemError('E2BIG', { message: 'too much input' }));
      if (end >= 0) text = '';
    });
    const ended = () => {
      reject(new SystemError('EPROTO', { message: 'no request' }));
      onEnd();
    };
    process.stdin.on('end', ended).on('error', ended);
  });
}

function tellStarter(text: string): void {
  try {
    writeSync(READY_FD, `${text}\n`);
    closeSync(READY_FD);
  } catch {
    // Nobody waits any more.
  }
}

async function main(): Promise<void> {
  process.umask(0o077);
  process.on('SIGHUP', () => undefined);
  let inputEnded = false;
  let onInputEnd = () => {
    inputEnded = true;
  };
  const request = requestFromJson(parseObject(await readLine(() => onInputEnd())));
  const holder = await Holder.start(request);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => holder.end());
  process.on('uncaughtException', (error) => holder.fail(error));
  if (request.ephemeral) {
    onInputEnd = () => holder.end();
    if (inputEnded) return holder.end();
  }
  tellStarter(JSON.stringify({ vm: holder.record }));
}

process.title = 'vmmctl-kvm';
closeInherited();
main().catch((error) => {
  tellStarter(JSON.stringify(errorToWire(error)));
  process.exit(1);
});
