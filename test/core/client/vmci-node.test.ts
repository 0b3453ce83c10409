/** A program on /dev/vmci: its calls byte for byte, and what it makes of the answers. */
import t from 'tap';
import { openContext } from '../../../src/core/client/vmci.js';
import { openNodeEndpoint } from '../../../src/core/client/vmci-node.js';
import { type RecordedCall, recordedMachine } from '../../helpers/tree-machine.js';

const hex = (text: string) => text.replaceAll(/\s/g, '');
/** Version 11.0, context 16. */
const START: readonly RecordedCall[] = [
  { request: 0x7a7, argument: '00000b00', result: 0xb0000 },
  { request: 0x7a0, argument: '1000000000000000', answer: '1000000000000000' },
];
const ANY = 0xffffffff;

/** addr, len 27, result GENERIC; the answer's result. */
function sends(answer: string, datagram: string): RecordedCall {
  return {
    request: 0x7ab,
    argument: hex('0000000000000000 1b000000 f3ffffff'),
    answer: hex(`0000000000000000 1b000000 ${answer}`),
    memory: [{ at: 0, has: hex(datagram) }],
  };
}

/** dst 2:5000, src 16:501, 3 bytes. */
const DATAGRAM = '02000000 88130000 10000000 f5010000 0300000000000000 616263';

t.test('a datagram is sent with its header', async (t) => {
  const { machine } = recordedMachine('/dev/vmci', [...START, sends('1b000000', DATAGRAM)]);
  const endpoint = await openNodeEndpoint(machine);
  t.equal(endpoint.contextId, 16);
  const sent = await endpoint.send({ context: 2, resource: 5000 }, Buffer.from('abc'), 501);
  t.equal(sent, 27);
});

t.test('the source is a resource of its own when none is named', async (t) => {
  const chosen = DATAGRAM.replace('f5010000', '00040000');
  const { machine } = recordedMachine('/dev/vmci', [...START, sends('1b000000', chosen)]);
  const endpoint = await openNodeEndpoint(machine);
  t.equal(await endpoint.send({ context: 2, resource: 5000 }, Buffer.from('abc'), ANY), 27);
});

t.test('results are errors by their meaning, and what the node can not do is said', async (t) => {
  const calls = [...START, sends('ffffffff', DATAGRAM), sends('f6ffffff', DATAGRAM)];
  const { machine, isDone } = recordedMachine('/dev/vmci', calls);
  const endpoint = await openNodeEndpoint(machine);
  const send = () => endpoint.send({ context: 2, resource: 5000 }, Buffer.from('abc'), 501);
  await t.rejects(send(), {
    code: 'EHOSTUNREACH',
    message: 'nobody listens at 2:5000',
    cause: { code: 'VMCI_ERROR_INVALID_RESOURCE' },
  });
  await t.rejects(send(), { code: 'EOPNOTSUPP', cause: { code: 'VMCI_ERROR_DST_UNREACHABLE' } });
  await t.rejects(endpoint.send({ context: 2, resource: 1 }, new Uint8Array(69609), 501), {
    code: 'EMSGSIZE',
  });
  t.notOk(isDone(), 'the node stays open with its context');
});

t.test('a doorbell is made, and rung', async (t) => {
  const handle = '10000000 d0070000';
  const call = (argument: string, answer: string): RecordedCall => ({
    request: 0x7a5,
    argument: hex(argument),
    answer: hex(answer),
  });
  const { machine } = recordedMachine('/dev/vmci', [
    ...START,
    call(`${handle} 0100 0100 00000000`, `${handle} 0100 0100 00000000`),
    call(`${handle} 0100 0100 00000000`, `${handle} 0100 0100 f7ffffff`),
    call(`${handle} 0100 0000 00000000`, `${handle} 0100 0000 00000000`),
    call('02000000 05000000 0100 0000 00000000', '02000000 05000000 0100 0000 ebffffff'),
  ]);
  const endpoint = await openNodeEndpoint(machine);
  const doorbell = await endpoint.doorbell(2000);
  t.strictSame(doorbell.handle, { context: 16, resource: 2000 });
  await t.rejects(endpoint.doorbell(2000), { code: 'EEXIST' });
  await endpoint.ring(doorbell.handle);
  await t.rejects(endpoint.ring({ context: 2, resource: 5 }), {
    code: 'EHOSTUNREACH',
    message: 'there is no endpoint 2:5',
  });
});

t.test('a context is watched once, and not by a VM', async (t) => {
  const call = (answer: string): RecordedCall => ({
    request: 0x7af,
    argument: '3c00000000000000',
    answer: `3c000000${answer}`,
  });
  const answers = ['00000000', 'eaffffff', 'f6ffffff'].map(call);
  const { machine } = recordedMachine('/dev/vmci', [...START, ...answers]);
  const endpoint = await openNodeEndpoint(machine);
  await endpoint.watch(60);
  await t.rejects(endpoint.watch(60), { code: 'EEXIST' });
  await t.rejects(endpoint.watch(60), { code: 'EOPNOTSUPP' });
});

t.test('a machine without the node has no VMCI', async (t) => {
  const { machine } = recordedMachine('/dev/other', []);
  await t.rejects(openContext(machine), { code: 'ENODEV', hint: /modprobe vmw_vmci/ });
  // As a guest under FreeBSD's driver, whose kernel one may be.
  const vmci = () => Promise.reject(new Error('nobody asks for it'));
  await t.rejects(openContext({ ...machine, vmci }), { code: 'ENODEV', hint: /without --node/ });
});
