/** What is sent for calls to host services, byte for byte as the headers have it. */
import t from 'tap';
import {
  type HgcmParameter,
  hgcmCall,
  hgcmConnect,
  hgcmDisconnect,
  withService,
} from '../../../src/core/client/hgcm.js';
import { type RecordedCall, recordedMachine } from '../../helpers/tree-machine.js';

const hex = (text: string) => text.replace(/\s/g, '');
const latin = (text: string, size = text.length) =>
  Buffer.from(text.padEnd(size, '\0'), 'latin1').toString('hex');
const header = (sizeIn: string, sizeOut: string, rc = '00000000') =>
  `${sizeIn}000000 01000100 00000000 ${rc} ${sizeOut}000000 00000000`;

/** Kind of location 2, a name in 128 bytes; the answer is the client's number. */
function connecting(name: string, rc = '00000000', client = '2a000000'): RecordedCall {
  return {
    request: 0xc09c5604,
    argument: hex(`${header('9c', '1c')} 02000000 ${latin(name, 128)}`),
    answer: hex(`${header('9c', '1c', rc)} ${client}`),
  };
}
const DISCONNECTING: RecordedCall = {
  request: 0xc01c5605,
  argument: hex(`${header('1c', '18')} 2a000000`),
  answer: hex(`${header('1c', '18')} 2a000000`),
};

async function nodeFor(calls: readonly RecordedCall[]) {
  const { machine, isDone } = recordedMachine('/dev/vboxguest', calls);
  return { node: await machine.open('/dev/vboxguest'), isDone };
}

t.test('a service is connected to, called and left', async (t) => {
  const { node, isDone } = await nodeFor([connecting('VmmctlEcho'), DISCONNECTING]);
  const used = await withService(node, 'VmmctlEcho', async (client) => client);
  t.equal(used, 42);
  await node.close();
  t.ok(isDone());
});

t.test('a service that there is not, that refuses, or whose name is too long', async (t) => {
  const { node, isDone } = await nodeFor([
    connecting('Nobody', 'acf4ffff', '00000000'),
    connecting('Proud', '550b0000'),
    { ...connecting('Many'), error: 'EMFILE' },
  ]);
  await t.rejects(hgcmConnect(node, 'Nobody'), {
    code: 'ENOENT',
    message: "no host service 'Nobody'",
    cause: { code: 'VERR_HGCM_SERVICE_NOT_FOUND' },
  });
  await t.rejects(hgcmConnect(node, 'Proud'), { code: 'EACCES' });
  await t.rejects(hgcmConnect(node, 'Many'), { code: 'EMFILE' });
  await t.rejects(hgcmConnect(node, 'é'.repeat(64)), { code: 'EINVAL' });
  await node.close();
  t.ok(isDone());
});

t.test('all kinds of parameters go there, and come back changed', async (t) => {
  // Client, function, time-out, interruptible, count; then type, value or size and address.
  const call = (timeout: string, values: readonly string[]) => `
    2a000000 07000000 ${timeout} 01 00 0500
    01000000 ${values[0]} 00000000
    02000000 ${values[1]} 00000000
    05000000 03000000 0000000000000000
    06000000 04000000 0000000000000000
    04000000 02000000 0000000000000000`;
  const { node, isDone } = await nodeFor([
    {
      request: 0xc0785607,
      argument: hex(
        `${header('78', '78')} ${call('f4010000', ['efbeadde00000000', 'ffffffffffffffff'])}`,
      ),
      answer: hex(
        `${header('78', '78')} ${call('f4010000', ['0700000001000000', '0100000000000080'])}`,
      ),
      memory: [
        { at: 80, has: latin('abc') },
        { at: 96, has: '00000000', gets: latin('out!') },
        { at: 112, has: latin('xy'), gets: latin('yx') },
      ],
    },
    DISCONNECTING,
  ]);
  const bytes = (text: string) => new TextEncoder().encode(text);
  const given: HgcmParameter[] = [
    { type: 'u32', value: 0xdeadbeef },
    { type: 'u64', value: 2n ** 64n - 1n },
    { type: 'in', data: bytes('abc') },
    { type: 'out', data: new Uint8Array(4) },
    { type: 'inout', data: bytes('xy') },
  ];
  const { status, parameters } = await hgcmCall(node, 42, 7, given, { timeoutMs: 500 });
  t.equal(status, 0);
  t.same(parameters, [
    { type: 'u32', value: 7 },
    { type: 'u64', value: 2n ** 63n + 1n },
    { type: 'in', data: bytes('abc') },
    { type: 'out', data: bytes('out!') },
    { type: 'inout', data: bytes('yx') },
  ]);
  t.same(given[4], { type: 'inout', data: bytes('xy') }, "the caller's own stay as they are");
  await hgcmDisconnect(node, 42);
  await node.close();
  t.ok(isDone());
});

t.test("the service's status is no error, the driver's are", async (t) => {
  const call = (rc: string) =>
    hex(`${header('28', '28', rc)} 2a000000 03000000 ffffffff 01 00 0000`);
  const ask = { request: 0xc0285607, argument: call('00000000') };
  const { node, isDone } = await nodeFor([
    { ...ask, answer: call('b2ffffff') },
    { ...ask, answer: call('4e000000') },
    { ...ask, error: 'ETIMEDOUT' },
    { ...ask, error: 'EINTR' },
    { request: 0xc01c5605, argument: DISCONNECTING.argument, error: 'EINVAL' },
  ]);
  t.same(await hgcmCall(node, 42, 3, []), { status: -78, parameters: [] });
  t.same(await hgcmCall(node, 42, 3, []), { status: 78, parameters: [] });
  await t.rejects(hgcmCall(node, 42, 3, []), { code: 'ETIMEDOUT' });
  await t.rejects(hgcmCall(node, 42, 3, []), { code: 'EINTR' });
  await t.rejects(hgcmDisconnect(node, 42), { code: 'EINVAL' });
  await node.close();
  t.ok(isDone());
});
