/** HGCM with the real device and a service. */
import t from 'tap';
import type { HgcmCall, HgcmService } from '../../../../../src/core/simulator/vbox/hgcm-service.js';
import { Program, realGuest } from './guest.js';
import { call, connect, type Parameter } from './hgcm-calls.js';

/** Doubles values and turns bytes; function 2 waits until the test ends it. */
class TestService implements HgcmService {
  readonly waiting: HgcmCall[] = [];
  readonly cancelledCalls: HgcmCall[] = [];

  connect(): number {
    return 0;
  }

  disconnect(client: number): void {
    for (const one of this.waiting) if (one.client === client) one.complete(-39);
  }

  call(one: HgcmCall): void {
    if (one.function === 2) {
      this.waiting.push(one);
      return;
    }
    for (const parameter of one.parameters) {
      if (parameter.type === 'u32') parameter.value *= 2;
      else if (parameter.type === 'u64') parameter.value *= 2n;
      else parameter.data.reverse();
    }
    one.complete(0);
  }

  cancelled(one: HgcmCall): void {
    this.cancelledCalls.push(one);
  }

  reset(): void {
    this.waiting.length = 0;
  }
}

function serviceGuest() {
  const service = new TestService();
  const guest = realGuest(new Map([['Test', service]]));
  return { ...guest, service, client: connect(guest.node).word(24) };
}

for (const bits of [64, 32] as const) {
  t.test(
    `the real device: a call of ${bits} bits, with values and buffers over pages`,
    async (t) => {
      const { node, client, pages } = serviceGuest();
      const { free } = pages;
      const memory = new Program(20000, 0x20000n);
      memory.bytes.set([1, 2, 3], 0);
      memory.bytes.set([9], 9999);
      const parameters: Parameter[] = [
        { u32: 21 },
        { u64: 1n << 33n },
        { type: 4, size: 10000, address: memory.base },
        { type: 4, size: 0, address: 0n },
      ];
      const answer = call(node, parameters, { bits, client, memory });
      t.equal(answer.code, 'ok');
      t.equal(answer.rc, 0);
      t.equal(answer.word(44), 42);
      const second = 40 + (bits === 64 ? 16 : 12) + 4;
      t.equal(new DataView(answer.data.buffer).getBigUint64(second, true), 1n << 34n);
      t.strictSame([...memory.bytes.subarray(9997, 10000)], [3, 2, 1]);
      t.equal(memory.bytes[0], 9);
      t.equal(pages.free, free);
    },
  );
}

t.test('the real device: an unknown service is rc -2900', async (t) => {
  const { node } = serviceGuest();
  t.equal(connect(node, 'Nobody').rc, -2900);
});

t.test('the real device: a call that ends late, and one that is cancelled', async (t) => {
  const { node, client, service, pages, advance } = serviceGuest();
  const { free } = pages;
  const answer = call(node, [{ u32: 1 }], { client, function: 2 });
  t.equal(answer.code, 'waits');
  service.waiting[0]?.complete(7);
  t.equal(answer.code, 'ok');
  t.equal(answer.rc, 7);
  const second = call(node, [], { client, function: 2, timeoutMs: 50 });
  advance(50);
  t.equal(second.code, 'ETIMEDOUT');
  t.equal(service.cancelledCalls.length, 1);
  service.waiting[1]?.complete(0);
  t.equal(second.code, 'ETIMEDOUT');
  t.equal(pages.free, free);
});

t.test('the real device: closing the node ends its calls and clients', async (t) => {
  const { node, client, service, device } = serviceGuest();
  const answer = call(node, [], { client, function: 2 });
  t.equal(device.hgcm.clients, 1);
  node.close();
  t.equal(answer.code, 'EINTR');
  t.equal(service.cancelledCalls.length, 1);
  t.strictSame(device.hgcm, { clients: 0, commands: 0 });
});
