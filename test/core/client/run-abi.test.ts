/** VM_RUN in its forms: the very bytes of the calls, against a node that looks at them. */
import t from 'tap';
import { SystemError } from '../../../src/core/abi/errno.js';
import type { DeviceNode, IoctlOptions } from '../../../src/core/backend/port/node.js';
import { newestAbi, RUN_ABIS } from '../../../src/core/client/run-abi.js';

interface Seen {
  request: number;
  argument: string;
  options: IoctlOptions;
}

type Answer = (call: Seen, argument: Uint8Array) => Uint8Array | undefined;

/** A node that answers each call as it is told. */
function nodeThat(answer: Answer): { node: DeviceNode; calls: Seen[] } {
  const calls: Seen[] = [];
  const node: DeviceNode = {
    path: '/dev/vmm/web1',
    ioctl: async (request, argument = 0, options = {}) => {
      if (typeof argument === 'number') throw new Error('no struct');
      const call = { request, argument: Buffer.from(argument).toString('hex'), options };
      calls.push(call);
      return { result: 0, data: answer(call, argument.slice()) ?? argument };
    },
    close: async () => undefined,
  };
  return { node, calls };
}

const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
/** struct vm_exit of an IPI from 0x1000: mode 0, vector 0x20. */
const IPI = hex('18000000 02000000 0010000000000000 00000000 20000000');
const HLT = hex('05000000 01000000 0110000000000000');

t.test('15 has the addresses of the exit and of the set, and its size', async (t) => {
  const { node, calls } = nodeThat(({ options: { pointers = [] } }) => {
    pointers.find(({ at }) => at === 24)?.to.set(IPI);
    pointers.find(({ at }) => at === 8)?.to.set(hex('01000000000000 80 01'));
    return undefined;
  });
  const { record, raw } = await RUN_ABIS['15'].run(node, 2, { cpusetSize: 128 });
  t.match(record, { exit: 'IPI', vcpu: 2, rip: 0x1000n, mode: 0, vector: 0x20, cpus: [0, 63, 64] });
  const [call] = calls;
  t.equal(call?.request, 0xc0207601);
  t.equal(call?.argument, `02${'00'.repeat(15)}80${'00'.repeat(15)}`);
  t.match(call?.options, { blocks: true, pointers: [{ at: 24 }, { at: 8 }] });
  t.same(
    raw.map(({ name, bytes }) => [name, bytes.length]),
    [
      ['vm_exit', 136],
      ['cpuset', 128],
    ],
  );
});

t.test('15 without room for a set has no address of it', async (t) => {
  const { node, calls } = nodeThat(({ options: { pointers = [] } }) => {
    pointers[0]?.to.set(IPI);
    return undefined;
  });
  t.same((await RUN_ABIS['15'].run(node, 0, { cpusetSize: 0 })).record.cpus, []);
  t.equal(calls[0]?.options.pointers?.length, 1);
  t.equal(calls[0]?.argument, '00'.repeat(32));
});

t.test('the bytes of the set are shown of an IPI alone', async (t) => {
  const { node } = nodeThat(({ options: { pointers = [] } }) => {
    pointers[0]?.to.set(HLT);
    return undefined;
  });
  const { record, raw } = await RUN_ABIS['15'].run(node, 0, { cpusetSize: 8 });
  t.equal(record.exit, 'HLT');
  t.same(
    raw.map(({ name }) => name),
    ['vm_exit'],
  );
});

t.test('13 and grown have the exit in the argument, and the set in the exit', async (t) => {
  const forms = [
    { name: '13', request: 0xc0907601, size: 144, exit: 136, last: 31, cpu: 255 },
    { name: 'grown', request: 0xc0a07601, size: 160, exit: 152, last: 127, cpu: 1023 },
  ] as const;
  for (const { name, request, size, exit, last, cpu } of forms) {
    const { node, calls } = nodeThat((_call, argument) => {
      argument.set(IPI, 8);
      // The set begins 8 bytes into the union, that 16 bytes into the exit.
      argument[8 + 16 + 8] = 0x01;
      argument[8 + 16 + 8 + last] = 0x80;
      return argument;
    });
    const { record, raw } = await RUN_ABIS[name].run(node, 1, { cpusetSize: 8 });
    t.match(record, { exit: 'IPI', vcpu: 1, vector: 0x20, cpus: [0, cpu] }, name);
    t.match(calls, [
      { request, argument: `01${'00'.repeat(size - 1)}`, options: { blocks: true } },
    ]);
    t.match(raw, [{ name: 'vm_exit' }]);
    t.equal(raw[0]?.bytes.length, exit);
  }
});

t.test('the newest form that the kernel knows is found out once', async (t) => {
  const { node, calls } = nodeThat(({ request }, argument) => {
    if (request !== 0xc0907601) throw new SystemError('ENOTTY');
    argument.set(HLT, 8);
    return argument;
  });
  const abi = newestAbi();
  t.match((await abi.run(node, 0, { cpusetSize: 8 })).record, { exit: 'HLT' });
  await abi.run(node, 0, { cpusetSize: 8 });
  t.same(
    calls.map(({ request }) => request),
    [0xc0207601, 0xc0907601, 0xc0907601],
  );
  const none = nodeThat(() => {
    throw new SystemError('ENOTTY');
  });
  await t.rejects(newestAbi().run(none.node, 0, { cpusetSize: 8 }), { code: 'ENOTTY' });
  const busy = nodeThat(() => {
    throw new SystemError('EINVAL');
  });
  await t.rejects(newestAbi().run(busy.node, 0, { cpusetSize: 8 }), { code: 'EINVAL' });
  t.equal(busy.calls.length, 1, 'another error says nothing of the form');
});
