import t from 'tap';
import { SystemError } from '../../src/core/abi/errno.js';
import { handleText, VMCI_INVALID_ID } from '../../src/core/abi/vmci.js';
import type { CallOptions } from '../../src/core/backend/port/node.js';
import type { VmciDatagram, VmciHandle, VmciKernel } from '../../src/core/backend/port/vmci.js';
import type { Backend } from '../../src/core/backend/port.js';
import { FakeBackend } from '../cli/helpers/fake-backend.js';
import { runLine, WAYS } from '../cli/helpers/io.js';

const line = (text: string) => text.split(' ').filter(Boolean);

/** A kernel that remembers what it is asked, and answers as it is told. */
class FakeKernel implements VmciKernel {
  readonly contextId = 2;
  readonly calls: string[] = [];
  readonly sent: VmciDatagram[] = [];
  datagrams: VmciDatagram[] = [];
  rings = 0;
  messages: Uint8Array[] = [];
  results: Record<string, number> = {};

  async createDatagramHandle(resource: number) {
    return this.#made('datagram', resource);
  }

  async receiveDatagram(_handle: VmciHandle, options?: CallOptions): Promise<VmciDatagram> {
    return this.datagrams.shift() ?? interrupted(options);
  }

  async sendDatagram(datagram: VmciDatagram): Promise<number> {
    this.sent.push(datagram);
    return this.results.send ?? 24 + datagram.payload.length;
  }

  async createDoorbell(handle?: VmciHandle) {
    return this.#made('doorbell', handle?.resource ?? VMCI_INVALID_ID);
  }

  async waitDoorbell(_handle: VmciHandle, options?: CallOptions): Promise<void> {
    if (this.rings === 0) return interrupted(options);
    this.rings -= 1;
  }

  async ringDoorbell(handle: VmciHandle): Promise<number> {
    this.calls.push(`ring ${handleText(handle)}`);
    return this.results.ring ?? 0;
  }

  async events(): Promise<AsyncIterable<Uint8Array>> {
    return yieldAll(this.messages);
  }

  allocQueuePair(): Promise<never> {
    return Promise.reject(new SystemError('EOPNOTSUPP'));
  }

  queuePairs(): Promise<never> {
    return Promise.reject(new SystemError('EOPNOTSUPP'));
  }

  #made(kind: string, wanted: number): { result: number; handle?: VmciHandle } {
    const resource = wanted === VMCI_INVALID_ID ? 1024 : wanted;
    this.calls.push(`${kind} ${resource}`);
    const result = this.results[kind] ?? 0;
    return result < 0 ? { result } : { result, handle: { context: 2, resource } };
  }
}

async function* yieldAll(messages: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* messages;
}

/** What a call does that nothing ends but a signal. */
function interrupted({ signal }: CallOptions = {}): Promise<never> {
  return new Promise((_, reject) => {
    const end = () => reject(new SystemError('EINTR'));
    if (signal?.aborted) end();
    else signal?.addEventListener('abort', end);
  });
}

function host(kernel: FakeKernel) {
  const backend = new FakeBackend().add('web1', { cid: 3 });
  const connect = async (uri: string): Promise<Backend> => {
    const connected = backend.connected(uri, {});
    const machine = { ...backend.machine(), vmci: async () => kernel };
    return { uri, management: backend.management, machine: () => machine, close: connected.close };
  };
  return { connect };
}

const hello: VmciDatagram = {
  src: { context: 3, resource: 501 },
  dst: { context: 2, resource: 500 },
  payload: Buffer.from('hello\n'),
};

for (const way of WAYS) {
  t.test(`id (${way})`, async (t) => {
    const { connect } = host(new FakeKernel());
    t.match(await runLine(line('vmci id'), { way, connect }), { status: 0, out: '2\n', err: '' });
    t.match(await runLine(line('vmci id --json'), { way, connect }), { out: '{"contextId":2}\n' });
    t.match(await runLine(line('vmci id extra'), { way, connect }), { status: 2 });
  });

  t.test(`send (${way})`, async (t) => {
    const kernel = new FakeKernel();
    const { connect } = host(kernel);
    const ran = await runLine(line('vmci send web1:500 --from 7 --data abc -v'), { way, connect });
    t.match(ran, {
      status: 0,
      out: '',
      err: 'context 2\nsent 27 bytes to 3:500, 3 of them payload\n',
    });
    t.match(kernel.sent, [
      { dst: { context: 3, resource: 500 }, src: { context: 2, resource: 7 } },
    ]);
    const json = await runLine(line('vmci send 3:500 --data abc --json'), { way, connect });
    t.equal(json.out, '{"dst":"3:500","sent":27}\n');
    t.equal(kernel.calls.at(-1), 'datagram 1024', 'from a resource that is free');
  });

  t.test(`receive (${way})`, async (t) => {
    const kernel = new FakeKernel();
    kernel.datagrams = [hello];
    const { connect } = host(kernel);
    const plain = await runLine(line('vmci receive 500'), { way, connect });
    t.match(plain, { status: 0, out: 'hello\n', err: 'listening on 2:500\n' });
    kernel.datagrams = [hello, { ...hello, payload: Buffer.from([0xff]) }];
    const json = await runLine(line('vmci receive --count 2 --json'), { way, connect });
    t.strictSame(
      json.out
        .trim()
        .split('\n')
        .map((text) => JSON.parse(text)),
      [
        { src: '3:501', dst: '2:500', size: 6, base64: 'aGVsbG8K', text: 'hello\n' },
        { src: '3:501', dst: '2:500', size: 1, base64: '/w==', text: null },
      ],
    );
    const late = await runLine(line('vmci receive 500 --timeout 10ms'), { way, connect });
    t.match(late, { status: 6, err: /\(ETIMEDOUT\)/ });
  });

  t.test(`doorbell (${way})`, async (t) => {
    const kernel = new FakeKernel();
    kernel.rings = 2;
    const { connect } = host(kernel);
    const rung = await runLine(line('vmci doorbell wait 2000 --count 2'), { way, connect });
    t.match(rung, { status: 0, out: '2:2000\n2:2000\n', err: 'listening on 2:2000\n' });
    const ring = await runLine(line('vmci doorbell ring web1:5 --json'), { way, connect });
    t.match(ring, { status: 0, out: '{"rung":"3:5"}\n' });
    t.equal(kernel.calls.at(-1), 'ring 3:5');
  });

  t.test(`events (${way})`, async (t) => {
    const kernel = new FakeKernel();
    const attach = '03000000000000000300000000040000' + '0300000000000000';
    kernel.messages = [Buffer.from(attach, 'hex'), Buffer.from([1])];
    const { connect } = host(kernel);
    const ran = await runLine(line('vmci events'), { way, connect });
    t.match(ran, { status: 0, out: 'qp-peer-attach 3:1024 peer 3\n' });
    const one = await runLine(line('vmci events -c 1 --json'), { way, connect });
    t.equal(one.out, '{"event":"qp-peer-attach","handle":"3:1024","peer":3}\n');
  });

  t.test(`words that are no handles, resources, contexts (${way})`, async (t) => {
    const { connect } = host(new FakeKernel());
    const wrong = [
      ['vmci send web1 --data x', /'web1' is not a handle/],
      ['vmci send web1:1:2 --data x', /is not a handle/],
      ['vmci send web1:-1 --data x', /whole number/],
      ['vmci send web1:4294967295 --data x', /whole number/],
      ['vmci send exec:1 --data x', /not a CID/],
      ['vmci send 4294967295:1 --data x', /not a CID/],
      ['vmci receive x', /whole number/],
      ['vmci id --context 4294967295', /whole number/],
      ['vmci doorbell ring 2', /is not a handle/],
    ] as const;
    for (const [words, message] of wrong) {
      t.match(await runLine(line(words), { way, connect }), { status: 2, err: message }, words);
    }
    const unknown = await runLine(line('vmci send web9:1 --data x'), { way, connect });
    t.match(unknown, { status: 3, err: /did you mean 'web1'\?/ });
  });

  t.test(`results are statuses by their meaning (${way})`, async (t) => {
    const kernel = new FakeKernel();
    const { connect } = host(kernel);
    const ran = (text: string) => runLine(line(text), { way, connect });
    kernel.results = { send: -10, ring: -21, datagram: -22 };
    t.match(await ran('vmci receive 500'), {
      status: 4,
      err: /somebody has 2:500 already \(EEXIST, from VMCI_ERROR_ALREADY_EXISTS\)/,
    });
    kernel.results.datagram = 0;
    t.match(await ran('vmci send 9:1 --data x'), {
      status: 6,
      err: /no way leads to 9:1 \(EHOSTUNREACH, from VMCI_ERROR_DST_UNREACHABLE\)\nhint: /,
    });
    t.match(await ran('vmci doorbell ring 9:1'), { status: 6, err: /there is no endpoint 9:1/ });
    kernel.results.send = -7;
    t.match(await ran('vmci send 9:1 --data x'), { status: 5, err: /VMCI_ERROR_NO_ACCESS/ });
    kernel.results.send = -19;
    t.match(await ran('vmci send 9:1 --data x'), { status: 1, err: /\(ENOBUFS, from/ });
  });
}
