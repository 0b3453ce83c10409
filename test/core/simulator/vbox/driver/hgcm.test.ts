/** HGCM: clients, calls and their parameters, calls that are answered late, and how they are cancelled. */
import t from 'tap';
import {
  HGCMFunctionParameter64,
  VBOX_HGCM_REQ_CANCELLED,
} from '../../../../../src/core/abi/hgcm.js';
import { VBOX_STATUS } from '../../../../../src/core/abi/vbox-err.js';
import { type OpenNode, ROOT } from '../../../../../src/core/simulator/node.js';
import { MAX_BOUNCE_BYTES } from '../../../../../src/core/simulator/vbox/driver/hgcm-parameters.js';
import type { HgcmCall, HgcmService } from '../../../../../src/core/simulator/vbox/hgcm-service.js';
import { argument, Call, Program, realGuest, startedGuest } from './guest.js';
import { later, type SeenRequest } from './scripted-device.js';

const FOREVER = 0xffffffff;
const MIB = 1024 * 1024;
const { VERR_NOT_FOUND, VERR_NOT_IMPLEMENTED, VERR_SEM_DESTROYED, VERR_GENERAL_FAILURE } =
  VBOX_STATUS;

function connect(node: OpenNode, service = 'Test', type = 2): Call {
  const location = new Uint8Array(132);
  location[0] = type;
  location.set(new TextEncoder().encode(service), 4);
  return new Call(node, 0xc09c5604, argument(location, { sizeOut: 28 }));
}

function disconnect(node: OpenNode, client: number): Call {
  return new Call(node, 0xc01c5605, argument([client], { sizeOut: 24 }));
}

type Parameter =
  | { readonly u32: number }
  | { readonly u64: bigint }
  | { readonly type: 4 | 5 | 6; readonly size: number; readonly address: bigint };

function parameter64(one: Parameter): Uint8Array {
  if ('u32' in one) return words(1, one.u32, 0, 0);
  if ('u64' in one) {
    return words(2, Number(one.u64 & 0xffffffffn), Number(one.u64 >> 32n), 0);
  }
  return HGCMFunctionParameter64.encode({
    type: one.type,
    size: one.size,
    linearAddr: one.address,
  });
}

function parameter32(one: Parameter): Uint8Array {
  if ('u32' in one) return words(1, one.u32, 0xdead);
  if ('u64' in one) return words(2, Number(one.u64 & 0xffffffffn), Number(one.u64 >> 32n));
  return words(one.type, one.size, Number(one.address));
}

function words(...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

interface CallOptions {
  readonly client?: number;
  readonly function?: number;
  readonly timeoutMs?: number;
  readonly bits?: 32 | 64;
  readonly count?: number;
  /** Zeros behind the parameters. */
  readonly trailing?: number;
  readonly sizeOut?: number;
  readonly memory?: Program;
}

function callArgument(parameters: readonly Parameter[], options: CallOptions = {}): Uint8Array {
  const encode = options.bits === 32 ? parameter32 : parameter64;
  const { client = 1, function: fn = 1, timeoutMs = FOREVER, count = parameters.length } = options;
  const head = words(client, fn, timeoutMs, (count << 16) >>> 0);
  const parts = [head, ...parameters.map(encode), new Uint8Array(options.trailing ?? 0)];
  const body = Uint8Array.from(parts.flatMap((part) => [...part]));
  return argument(body, options.sizeOut === undefined ? {} : { sizeOut: options.sizeOut });
}

function call(node: OpenNode, parameters: readonly Parameter[] = [], options: CallOptions = {}) {
  const request = options.bits === 32 ? 0xc0005606 : 0xc0005607;
  return new Call(node, request, callArgument(parameters, options), options.memory);
}

/** A guest with a client, whose calls are answered when the test says so. */
function waitingGuest() {
  const guest = startedGuest();
  connect(guest.node);
  guest.device.on('VMMDevReq_HGCMCall64', later);
  guest.device.seen.length = 0;
  const last = (): SeenRequest => {
    const seen = guest.device.of('VMMDevReq_HGCMCall64').at(-1);
    if (seen === undefined) throw new Error('the host has seen no call');
    return seen;
  };
  return { ...guest, last, free: guest.pages.free };
}

t.test('connect: the host gets the location as it is, and who asks', async (t) => {
  const { node, device } = startedGuest();
  const answer = connect(node, 'VBoxGuestPropSvc', 1);
  t.equal(answer.code, 'ok');
  t.equal(answer.rc, 0);
  t.equal(answer.word(24), 1);
  const [seen] = device.of('VMMDevReq_HGCMConnect');
  t.equal(seen?.bytes.length, 168);
  t.equal(seen?.requestor, 0x8b);
  t.equal(seen?.bytes[32], 1);
  t.equal(new TextDecoder().decode(seen?.bytes.subarray(36, 53)), 'VBoxGuestPropSvc\0');
});

t.test('connect: a result that is a failure is the rc, with client 0', async (t) => {
  const { node, device } = startedGuest();
  device.on('VMMDevReq_HGCMConnect', (view) => {
    view.setUint32(24, 1, true);
    view.setInt32(28, VBOX_STATUS.VERR_HGCM_SERVICE_NOT_FOUND, true);
    view.setUint32(164, 9, true);
    return 0;
  });
  const answer = connect(node);
  t.equal(answer.code, 'ok');
  t.equal(answer.rc, -2900);
  t.equal(answer.word(24), 0);
});

t.test('connect: a status that is a failure is the rc, with client 0', async (t) => {
  const { node, device } = startedGuest();
  device.refuse('VMMDevReq_HGCMConnect', VBOX_STATUS.VERR_NOT_SUPPORTED);
  const answer = connect(node);
  t.equal(answer.rc, -37);
  t.equal(answer.word(24), 0);
});

t.test(
  'connect: 64 clients, one more is EMFILE, and a place that is free again can be had',
  async (t) => {
    const { node, driver } = startedGuest();
    for (let i = 0; i < 64; i++) t.equal(connect(node).code, 'ok');
    t.equal(connect(node).code, 'EMFILE');
    t.equal(connect(driver.open('vboxuser', ROOT)).code, 'ok', 'each node has its own');
    t.equal(disconnect(node, 17).code, 'ok');
    t.equal(connect(node).code, 'ok');
    t.equal(connect(node).code, 'EMFILE');
  },
);

t.test('connect: one that failed takes no place', async (t) => {
  const { node, device } = startedGuest();
  device.refuse('VMMDevReq_HGCMConnect', VBOX_STATUS.VERR_NO_MEMORY);
  for (let i = 0; i < 100; i++) connect(node);
  device.off('VMMDevReq_HGCMConnect');
  t.equal(connect(node).code, 'ok');
});

t.test('connect: without memory is ENOMEM, and takes no place', async (t) => {
  const { node, pages } = startedGuest(2 * MIB);
  const taken: number[] = [];
  for (let at = pages.allocate(4096); at !== undefined; at = pages.allocate(4096)) taken.push(at);
  for (let i = 0; i < 70; i++) t.equal(connect(node).code, 'ENOMEM');
  for (const address of taken) pages.release(address);
  t.equal(connect(node).code, 'ok');
});

t.test('connect: answered late it waits without limit, and no signal ends it', async (t) => {
  const { node, device, advance } = startedGuest();
  device.on('VMMDevReq_HGCMConnect', (view) => {
    view.setUint32(164, 5, true);
    return VBOX_STATUS.VINF_HGCM_ASYNC_EXECUTE;
  });
  const answer = connect(node);
  answer.interrupt();
  advance(3_600_000);
  t.equal(answer.code, 'waits');
  const [seen] = device.of('VMMDevReq_HGCMConnect');
  if (seen !== undefined) device.complete(seen, 0);
  t.equal(answer.code, 'ok');
  t.equal(answer.word(24), 5);
});

t.test('connect: 64 that wait take all places', async (t) => {
  const { node, device } = startedGuest();
  device.on('VMMDevReq_HGCMConnect', later);
  for (let i = 0; i < 64; i++) t.equal(connect(node).code, 'waits');
  t.equal(connect(node).code, 'EMFILE');
});

for (const client of [0, 0xffffffff, 2, 99]) {
  t.test(`disconnect and call: client 0x${client.toString(16)} is EINVAL`, async (t) => {
    const { node, driver, device } = startedGuest();
    connect(node);
    connect(driver.open('vboxguest', ROOT));
    device.seen.length = 0;
    t.equal(disconnect(node, client).code, 'EINVAL');
    t.equal(call(node, [], { client }).code, 'EINVAL');
    t.strictSame(device.types(), []);
  });
}

t.test('disconnect: the client is gone', async (t) => {
  const { node, device } = startedGuest();
  connect(node);
  const answer = disconnect(node, 1);
  t.equal(answer.code, 'ok');
  t.equal(answer.rc, 0);
  t.equal(device.of('VMMDevReq_HGCMDisconnect')[0]?.requestor, 0x8b);
  t.equal(disconnect(node, 1).code, 'EINVAL');
  t.equal(call(node).code, 'EINVAL');
});

t.test('disconnect: what the host refuses leaves the client', async (t) => {
  const { node, device } = startedGuest();
  connect(node);
  device.refuse('VMMDevReq_HGCMDisconnect', VBOX_STATUS.VERR_HGCM_INVALID_CLIENT_ID);
  const answer = disconnect(node, 1);
  t.equal(answer.code, 'ok');
  t.equal(answer.rc, -2905);
  t.equal(call(node).code, 'ok');
});

t.test('disconnect: while the host works on it, the client can not be used', async (t) => {
  const { node, device } = startedGuest();
  connect(node);
  device.on('VMMDevReq_HGCMDisconnect', later);
  const answer = disconnect(node, 1);
  answer.interrupt();
  t.equal(answer.code, 'waits');
  t.equal(call(node).code, 'EINVAL');
  t.equal(disconnect(node, 1).code, 'EINVAL');
  const [seen] = device.of('VMMDevReq_HGCMDisconnect');
  if (seen !== undefined) device.complete(seen, VERR_GENERAL_FAILURE);
  t.equal(answer.rc, VERR_GENERAL_FAILURE);
  t.equal(call(node).code, 'ok', 'it was refused');
});

for (const bits of [64, 32] as const) {
  const size = bits === 64 ? 16 : 12;

  t.test(`call ${bits}: order of the checks`, async (t) => {
    const { node } = startedGuest();
    connect(node);
    const request = bits === 32 ? 0xc0005606 : 0xc0005607;
    const raw = (bytes: Uint8Array) => new Call(node, request, bytes).code;
    t.equal(raw(argument([], { sizeIn: 36 })), 'EINVAL', 'size_in below 40');
    t.equal(call(node, [], { bits, count: 33, sizeOut: 36 }).code, 'EINVAL', 'in != out');
    t.equal(call(node, [], { bits, count: 33, client: 0 }).code, 'E2BIG', 'more than 32');
    t.equal(call(node, [], { bits, count: 0xffff }).code, 'E2BIG');
    t.equal(call(node, [], { bits, count: 32, client: 0 }).code, 'EINVAL', 'client 0');
    t.equal(call(node, [], { bits, count: 32 }).code, 'EINVAL', 'parameters that are not there');
    t.equal(call(node, [{ u32: 1 }], { bits, client: 9 }).code, 'EINVAL', "not this node's");
    t.equal(call(node, [{ u32: 1 }], { bits }).code, 'ok');
  });

  t.test(`call ${bits}: ${size} bytes a parameter, and not one less`, async (t) => {
    const { node } = startedGuest();
    connect(node);
    const exact = call(node, [], { bits, count: 3, trailing: 3 * size });
    t.equal(exact.code, 'EINVAL', 'type 0');
    const parameters = [{ u32: 1 }, { u32: 2 }, { u32: 3 }];
    t.equal(call(node, parameters, { bits }).code, 'ok');
    t.equal(call(node, parameters, { bits, count: 4, trailing: size - 1 }).code, 'EINVAL');
  });

  for (const type of [0, 3, 7, 8, 9, 10, 11, 12, 13, 0x100, 0xffffffff]) {
    t.test(`call ${bits}: a parameter of type ${type} is EINVAL`, async (t) => {
      const { node, device } = startedGuest();
      connect(node);
      device.seen.length = 0;
      const bytes = callArgument([{ u32: 1 }, { u32: 0 }], { bits });
      new DataView(bytes.buffer).setUint32(40 + size, type, true);
      const request = bits === 32 ? 0xc0005606 : 0xc0005607;
      t.equal(new Call(node, request, bytes).code, 'EINVAL');
      t.strictSame(device.types(), []);
    });
  }

  t.test(`call ${bits}: values go to the host and back`, async (t) => {
    const { node, device } = startedGuest();
    connect(node);
    device.on('VMMDevReq_HGCMCall64', (view) => {
      t.equal(view.getUint32(32, true), 1, 'client');
      t.equal(view.getUint32(36, true), 42, 'function');
      t.equal(view.getUint32(40, true), 2, 'count');
      t.equal(view.getUint32(44, true), 1);
      t.equal(view.getBigUint64(48, true), 7n, 'nothing behind 32 bits');
      t.equal(view.getUint32(60, true), 2);
      t.equal(view.getBigUint64(64, true), 0x1122334455667788n);
      view.setUint32(48, 8, true);
      view.setBigUint64(64, 0x99n, true);
      view.setUint32(24, 1, true);
      view.setInt32(28, 3, true);
      return 0;
    });
    const answer = call(node, [{ u32: 7 }, { u64: 0x1122334455667788n }], { bits, function: 42 });
    t.equal(answer.code, 'ok');
    t.equal(answer.rc, 3, 'the result of the call');
    t.equal(answer.word(44), 8);
    t.equal(new DataView(answer.data.buffer).getBigUint64(40 + size + 4, true), 0x99n);
  });

  t.test(
    `call ${bits}: buffers go in pages: type 4 both ways, 5 in, 6 out and zero before`,
    async (t) => {
      const { node, device, pages } = startedGuest();
      connect(node);
      const { free } = pages;
      const memory = new Program(30000, 0x10000n);
      memory.bytes.fill(0x41, 0, 5000).fill(0x42, 10000, 10010).fill(0x43, 20000, 20100);
      const flags: number[] = [];
      device.on('VMMDevReq_HGCMCall64', (view, { bytes }) => {
        t.equal(bytes.length, 44 + 3 * 16 + (8 + 16) + (8 + 8) + (8 + 8));
        for (let index = 0; index < 3; index++) {
          const at = 44 + 16 * index;
          t.equal(view.getUint32(at, true), 10, 'a list of pages');
          const list = view.getUint32(at + 8, true);
          flags.push(view.getUint32(list, true));
          t.equal(view.getUint16(list + 4, true), 0, 'offset in the first page');
          t.equal(view.getUint16(list + 6, true), index === 0 ? 2 : 1, 'pages');
          const page = Number(view.getBigUint64(list + 8, true));
          const expected = [0x41, 0x42, 0][index];
          const length = [4096, 10, 100][index] ?? 0;
          t.ok(
            pages.read(page, length).every((byte) => byte === expected),
            `buffer ${index}`,
          );
          pages.write(page, new Uint8Array(10).fill(0x61 + index));
        }
        view.setUint32(24, 1, true);
        return 0;
      });
      const parameters: Parameter[] = [
        { type: 4, size: 5000, address: 0x10000n },
        { type: 5, size: 10, address: 0x10000n + 10000n },
        { type: 6, size: 100, address: 0x10000n + 20000n },
      ];
      const answer = call(node, parameters, { bits, memory });
      t.equal(answer.code, 'ok');
      t.strictSame(flags, [3, 1, 2]);
      const text = (at: number, length: number) =>
        new TextDecoder().decode(memory.bytes.subarray(at, at + length));
      t.equal(text(0, 12), `${'a'.repeat(10)}AA`);
      t.equal(text(10000, 10), 'B'.repeat(10), 'type 5 does not come back');
      t.equal(text(20000, 12), `${'c'.repeat(10)}\0\0`);
      t.equal(memory.bytes[20100], 0, 'nothing behind it');
      t.equal(pages.free, free, 'all memory is given back');
    },
  );

  t.test(`call ${bits}: size_out is that of the parameters, more is not answered`, async (t) => {
    const { node } = startedGuest();
    connect(node);
    const bytes = callArgument([{ u32: 1 }], { bits, trailing: 100 }).fill(0xee, 40 + size);
    const request = bits === 32 ? 0xc0005606 : 0xc0005607;
    const answer = new Call(node, request, bytes);
    t.equal(answer.code, 'ok');
    t.equal(answer.word(16), 40 + size);
    t.equal(answer.data.length, bytes.length);
  });
}

t.test('call: a buffer of size 0 is an empty linear address, wherever it points', async (t) => {
  const { node, device } = startedGuest();
  connect(node);
  const answer = call(node, [
    { type: 4, size: 0, address: 0xdead_0000n },
    { type: 5, size: 0, address: 0n },
    { type: 6, size: 0, address: 1n },
  ]);
  t.equal(answer.code, 'ok');
  const bytes = device.of('VMMDevReq_HGCMCall64')[0]?.bytes;
  t.equal(bytes?.length, 44 + 3 * 16);
  for (let index = 0; index < 3; index++) {
    const at = 44 + 16 * index;
    t.strictSame([...(bytes?.subarray(at, at + 16) ?? [])], [4 + index, ...new Uint8Array(15)]);
  }
});

t.test('call: what comes back is the smaller of the sizes that host and program say', async (t) => {
  for (const [hostSize, copied] of [
    [3, 3],
    [0, 0],
    [10, 10],
    [5000, 10],
    [0xffffffff, 10],
  ] as const) {
    const { node, device, pages } = startedGuest();
    connect(node);
    const memory = new Program(100);
    device.on('VMMDevReq_HGCMCall64', (view) => {
      const list = view.getUint32(52, true);
      pages.write(Number(view.getBigUint64(list + 8, true)), new Uint8Array(100).fill(0x78));
      view.setUint32(48, hostSize, true);
      return 0;
    });
    const answer = call(node, [{ type: 6, size: 10, address: memory.base }], { memory });
    t.equal(answer.code, 'ok');
    t.equal(answer.word(44), hostSize, "the parameter has the host's size");
    t.equal(memory.bytes.filter((byte) => byte === 0x78).length, copied);
  }
});

t.test('call: a buffer that can not be read is EFAULT, before the host is asked', async (t) => {
  const { node, device, pages, kernelLog } = startedGuest();
  connect(node);
  const { free } = pages;
  device.seen.length = 0;
  const memory = new Program(100);
  for (const type of [4, 5] as const) {
    const parameters: Parameter[] = [
      { type: 6, size: 50, address: memory.base },
      { type, size: 101, address: memory.base },
    ];
    t.equal(call(node, parameters, { memory }).code, 'EFAULT');
  }
  t.strictSame(device.types(), []);
  t.equal(pages.free, free);
  t.strictSame(kernelLog, Array(2).fill('VBG_IOCTL_HGCM_CALL error: -14'));
});

t.test(
  'call: a buffer that can not be written is EFAULT, after the host has done it all',
  async (t) => {
    const { node, device, pages, kernelLog } = startedGuest();
    connect(node);
    const { free } = pages;
    const memory = new Program(100);
    const answer = call(node, [{ type: 6, size: 101, address: memory.base }], { memory });
    t.equal(answer.code, 'EFAULT');
    t.equal(device.of('VMMDevReq_HGCMCall64').length, 1);
    t.equal(pages.free, free);
    t.strictSame(kernelLog, ['VBG_IOCTL_HGCM_CALL error: -14']);
  },
);

t.test('call: a buffer over 24 MiB is rc OUT_OF_RANGE without an error', async (t) => {
  const { node, device, pages } = startedGuest();
  connect(node);
  const { free } = pages;
  device.seen.length = 0;
  const size = 24 * MIB + 1;
  for (const type of [4, 5, 6] as const) {
    const answer = call(node, [{ u32: 7 }, { type, size, address: 0n }]);
    t.equal(answer.code, 'ok');
    t.equal(answer.rc, -54);
    t.equal(answer.word(44), 7, 'parameters are as they were');
    t.equal(answer.word(60), size);
  }
  t.equal(call(node, [{ type: 6, size: 0xffffffff, address: 0n }]).rc, -54);
  t.strictSame(device.types(), []);
  t.equal(pages.free, free);
});

t.test('call: parameters are looked at in their order', async (t) => {
  const { node } = startedGuest();
  connect(node);
  const bad: Parameter = { type: 5, size: 1, address: 0n };
  const large: Parameter = { type: 5, size: 24 * MIB + 1, address: 0n };
  t.equal(call(node, [bad, large]).code, 'EFAULT');
  t.equal(call(node, [large, bad]).rc, -54);
});

t.test('call: 24 MiB pass', async (t) => {
  const { node, device } = startedGuest();
  connect(node);
  const memory = new Program(24 * MIB);
  const answer = call(node, [{ type: 6, size: 24 * MIB, address: memory.base }], { memory });
  t.equal(answer.code, 'ok');
  const bytes = device.of('VMMDevReq_HGCMCall64')[0]?.bytes;
  t.equal(bytes?.length, 44 + 16 + 8 + 8 * 6144);
});

t.test('call: 32 parameters pass', async (t) => {
  const { node } = startedGuest();
  connect(node);
  t.equal(call(node, Array(32).fill({ u32: 1 })).code, 'ok');
});

t.test('call: no memory for a buffer is ENOMEM', async (t) => {
  const { node, pages } = startedGuest(8 * MIB);
  connect(node);
  const { free } = pages;
  t.equal(call(node, [{ type: 6, size: 16 * MIB, address: 0n }]).code, 'ENOMEM');
  t.equal(pages.free, free);
});

t.test('call: buffers of all calls under way have a limit', async (t) => {
  const guest = startedGuest(1024 * MIB);
  const { node, device, pages } = guest;
  connect(node);
  device.on('VMMDevReq_HGCMCall64', later);
  const { free } = pages;
  const size = 20 * MIB;
  const calls: Call[] = [];
  for (let total = size; total <= MAX_BOUNCE_BYTES; total += size) {
    calls.push(call(node, [{ type: 6, size, address: 0n }]));
  }
  t.ok(calls.every(({ code }) => code === 'waits'));
  t.equal(call(node, [{ type: 6, size, address: 0n }]).code, 'ENOMEM');
  for (const one of calls) one.interrupt();
  t.equal(pages.free, free);
  t.equal(call(node, [{ type: 6, size, address: 0n }]).code, 'waits', 'and then there is room');
});

t.test('call: a status that is a failure is the rc, and the error is none', async (t) => {
  const { node, device } = startedGuest();
  connect(node);
  device.refuse('VMMDevReq_HGCMCall64', VBOX_STATUS.VERR_NOT_SUPPORTED);
  const answer = call(node, [{ u32: 5 }]);
  t.equal(answer.code, 'ok');
  t.equal(answer.rc, -37);
  t.equal(answer.word(44), 5);
});

t.test('call: who asks is told to the host', async (t) => {
  const { driver, device } = startedGuest();
  const node = driver.open('vboxuser', ROOT);
  connect(node);
  call(node);
  t.equal(device.of('VMMDevReq_HGCMCall64')[0]?.requestor, 0x808b);
});

t.test('late: the call waits until the host sets DONE and raises its event', async (t) => {
  const { node, device, pages, last, free } = waitingGuest();
  const answer = call(node, [{ u32: 1 }]);
  t.equal(answer.code, 'waits');
  device.complete(last(), 5);
  t.equal(answer.code, 'ok');
  t.equal(answer.rc, 5);
  t.equal(pages.free, free);
});

t.test('late: an event without DONE ends nothing', async (t) => {
  const { node, device } = waitingGuest();
  const answer = call(node);
  device.raise(0x2);
  t.equal(answer.code, 'waits');
});

t.test(
  'late: a call that was done before the host answered the request does not wait',
  async (t) => {
    const { node, device } = waitingGuest();
    device.on('VMMDevReq_HGCMCall64', (view) => {
      view.setUint32(24, 1, true);
      view.setInt32(28, 9, true);
      return VBOX_STATUS.VINF_HGCM_ASYNC_EXECUTE;
    });
    const answer = call(node, [], { timeoutMs: 0 });
    t.equal(answer.code, 'ok');
    t.equal(answer.rc, 9);
  },
);

t.test('late: many calls wait, and each ends with its own', async (t) => {
  const { node, device, last } = waitingGuest();
  const first = call(node);
  const one = last();
  const second = call(node);
  const two = last();
  device.complete(two, 2);
  t.strictSame([first.code, second.code], ['waits', 'ok']);
  device.complete(one, 1);
  t.strictSame([first.rc, second.rc], [1, 2]);
});

t.test(
  "late: an event that a program took away is made up for by the time-out's look",
  async (t) => {
    const { node, device, advance, last } = waitingGuest();
    const answer = call(node, [], { timeoutMs: 100 });
    device.complete(last(), 4, true);
    t.equal(answer.code, 'waits');
    advance(100);
    t.equal(answer.code, 'ok');
    t.equal(answer.rc, 4);
    t.strictSame(device.of('VMMDevReq_HGCMCancel2'), []);
  },
);

for (const [why, code] of [
  ['time-out', 'ETIMEDOUT'],
  ['signal', 'EINTR'],
] as const) {
  /** Ends the wait of a call that was given 100 ms. */
  const end = (answer: Call, advance: (ms: number) => void) => {
    if (why === 'time-out') advance(100);
    else answer.interrupt();
  };

  t.test(
    `cancel, ${why}: the request is cancelled by its address, and the call is ${code}`,
    async (t) => {
      const { node, device, advance, last, pages, free, deadlines } = waitingGuest();
      const before = deadlines.size;
      const answer = call(node, [{ type: 6, size: 10, address: 0n }], { timeoutMs: 100 });
      advance(99);
      t.equal(answer.code, 'waits');
      end(answer, why === 'time-out' ? () => advance(1) : advance);
      t.equal(answer.code, code);
      const [cancel] = device.of('VMMDevReq_HGCMCancel2');
      t.equal(cancel?.requestor, 1);
      t.equal(
        new DataView(cancel?.bytes.buffer ?? new ArrayBuffer(28)).getUint32(24, true),
        last().address,
      );
      t.equal(pages.free, free);
      t.equal(deadlines.size, before);
    },
  );

  t.test(
    `cancel, ${why}: a host that does not know Cancel2 gets Cancel on the request itself`,
    async (t) => {
      const { node, device, advance, last } = waitingGuest();
      device.refuse('VMMDevReq_HGCMCancel2', VERR_NOT_IMPLEMENTED);
      const answer = call(node, [], { timeoutMs: 100 });
      end(answer, advance);
      t.equal(answer.code, code);
      const [cancel] = device.of('VMMDevReq_HGCMCancel');
      t.equal(cancel?.address, last().address);
      t.equal((cancel?.bytes[24] ?? 0) & VBOX_HGCM_REQ_CANCELLED, VBOX_HGCM_REQ_CANCELLED);
    },
  );

  for (const [rc, name, graceMs] of [
    [VERR_NOT_FOUND, 'NOT_FOUND', 500],
    [VERR_SEM_DESTROYED, 'SEM_DESTROYED', 500],
    [VERR_GENERAL_FAILURE, 'GENERAL_FAILURE', 2000],
  ] as const) {
    t.test(
      `cancel, ${why}: ${name} waits ${graceMs} ms more; done by then is a success`,
      async (t) => {
        const { node, device, advance, last, pages, free } = waitingGuest();
        device.refuse('VMMDevReq_HGCMCancel2', rc);
        const answer = call(node, [], { timeoutMs: 100 });
        end(answer, advance);
        advance(graceMs - 1);
        t.equal(answer.code, 'waits');
        answer.interrupt();
        t.equal(answer.code, 'waits', 'no signal ends it now');
        device.complete(last(), 6);
        t.equal(answer.code, 'ok');
        t.equal(answer.rc, 6);
        t.equal(pages.free, free);
      },
    );

    t.test(
      `cancel, ${why}: ${name} and ${graceMs} ms without an end leaks the request, ${code}`,
      async (t) => {
        const { node, device, advance, last, pages, free, kernelLog } = waitingGuest();
        device.refuse('VMMDevReq_HGCMCancel2', rc);
        const answer = call(node, [{ type: 6, size: 10, address: 0n }], { timeoutMs: 100 });
        end(answer, advance);
        advance(graceMs);
        t.equal(answer.code, code);
        t.match(kernelLog.at(-1), /cancellation failed, leaking the request$/);
        t.ok(pages.free < free, 'the host may still write to it');
        device.complete(last(), 0);
        t.equal(answer.code, code);
      },
    );
  }

  t.test(`cancel, ${why}: Cancel that is INVALID_PARAMETER counts as NOT_FOUND`, async (t) => {
    const { node, device, advance } = waitingGuest();
    device.refuse('VMMDevReq_HGCMCancel2', VERR_NOT_IMPLEMENTED);
    device.refuse('VMMDevReq_HGCMCancel', VBOX_STATUS.VERR_INVALID_PARAMETER);
    const answer = call(node, [], { timeoutMs: 100 });
    end(answer, advance);
    advance(499);
    t.equal(answer.code, 'waits');
    advance(1);
    t.equal(answer.code, code);
  });
}

t.test('timeout 0 of a call that the host answers later is ETIMEDOUT at once', async (t) => {
  const { node, device } = waitingGuest();
  t.equal(call(node, [], { timeoutMs: 0 }).code, 'ETIMEDOUT');
  t.equal(device.of('VMMDevReq_HGCMCancel2').length, 1);
});

t.test('timeout 0xffffffff has no limit', async (t) => {
  const { node, advance } = waitingGuest();
  const answer = call(node, [], { timeoutMs: FOREVER });
  advance(86_400_000);
  t.equal(answer.code, 'waits');
});

t.test('the byte `interruptible` is not looked at', async (t) => {
  const { node } = waitingGuest();
  const answer = call(node);
  answer.interrupt();
  t.equal(answer.code, 'EINTR');
});

t.test('cancelling does not need memory', async (t) => {
  const guest = startedGuest(2 * MIB);
  connect(guest.node);
  guest.device.on('VMMDevReq_HGCMCall64', later);
  const answer = call(guest.node);
  while (guest.pages.allocate(4096) !== undefined);
  answer.interrupt();
  t.equal(answer.code, 'EINTR');
});

t.test('reset: requests that were leaked are free again', async (t) => {
  const { node, device, driver, advance, pages, free } = waitingGuest();
  device.refuse('VMMDevReq_HGCMCancel2', VERR_GENERAL_FAILURE);
  call(node, [], { timeoutMs: 1 });
  advance(3000);
  t.ok(pages.free < free);
  driver.reset();
  t.equal(pages.free, free);
});

t.test('reset: calls that wait are gone, with their deadlines', async (t) => {
  const { node, driver, advance, device } = waitingGuest();
  const answer = call(node, [], { timeoutMs: 100 });
  driver.reset();
  t.equal(answer.code, 'ENODEV');
  device.seen.length = 0;
  advance(1000);
  t.strictSame(device.of('VMMDevReq_HGCMCancel2'), []);
});

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
