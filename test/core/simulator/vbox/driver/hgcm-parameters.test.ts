/** Parameters of calls of HGCM, of 64-bit and of 32-bit programs: what is checked, and what goes to the host and back. */
import t from 'tap';
import { argument, Call, Program, startedGuest } from './guest.js';
import { call, callArgument, connect, type Parameter } from './hgcm-calls.js';

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
