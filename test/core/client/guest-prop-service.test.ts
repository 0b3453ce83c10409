/** The guest's side of guest properties: what is asked of the service, and what its answers are taken for. */
import t from 'tap';
import { guestProperties } from '../../../src/core/client/guest-prop-service.js';
import { type RecordedCall, recordedMachine } from '../../helpers/tree-machine.js';

const hex = (text: string) => Buffer.from(text, 'latin1').toString('hex');
/** A u32 as it lies in memory. */
const u32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value | 0);
  return bytes.toString('hex');
};
const u64 = (value: bigint) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes.toString('hex');
};
const header = (sizeIn: number, sizeOut: number, rc = 0) =>
  `${u32(sizeIn)}01000100${u32(0)}${u32(rc)}${u32(sizeOut)}${u32(0)}`;

const CONNECT: RecordedCall = {
  request: 0xc09c5604,
  argument: `${header(156, 28)}02000000${hex('VBoxGuestPropSvc'.padEnd(128, '\0'))}`,
  answer: `${header(156, 28)}05000000`,
};

/** One parameter: what goes there, and what comes back. */
type Parameter =
  | { text: string }
  | { out: number; gets?: string }
  | { u32: number }
  | { u64: bigint; is?: bigint };

/** A call of the service: client 5, for ever, interruptible; 16 bytes a parameter. */
function calling(functionNumber: number, parameters: readonly Parameter[], rc = 0): RecordedCall {
  const size = 40 + 16 * parameters.length;
  const head = `05000000${u32(functionNumber)}ffffffff0100${u32(parameters.length).slice(0, 4)}`;
  const body = (isAnswer: boolean) =>
    parameters.map((parameter) => encode(parameter, isAnswer)).join('');
  return {
    request: (0xc0005607 | (size << 16)) >>> 0,
    argument: `${header(size, size)}${head}${body(false)}`,
    answer: `${header(size, size, rc)}${head}${body(true)}`,
    memory: parameters.flatMap((parameter, i) => {
      const at = 40 + 16 * i + 8;
      if ('text' in parameter) return [{ at, has: hex(`${parameter.text}\0`) }];
      if (!('out' in parameter)) return [];
      return [{ at, has: '00'.repeat(parameter.out), gets: hex(parameter.gets ?? '') }];
    }),
  };
}

function encode(parameter: Parameter, isAnswer: boolean): string {
  if ('text' in parameter) return `05000000${u32(parameter.text.length + 1)}${u64(0n)}`;
  if ('out' in parameter) return `06000000${u32(parameter.out)}${u64(0n)}`;
  if ('u32' in parameter) return `01000000${u32(isAnswer ? parameter.u32 : 0)}${u64(0n)}`;
  const { u64: before, is = before } = parameter;
  return `02000000${u64(isAnswer ? is : before)}${u32(0)}`;
}

async function serviceFor(calls: readonly RecordedCall[]) {
  const { machine, isDone } = recordedMachine('/dev/vboxguest', [CONNECT, ...calls]);
  const node = await machine.open('/dev/vboxguest');
  const properties = await guestProperties(node);
  return { properties, isDone: async () => node.close().then(isDone) };
}

const FIRST = 1059;
const getting = (out: number, gets: string, needed: number, rc = 0) =>
  calling(
    1,
    [
      { text: '/a' },
      { out, gets },
      { u64: 0n, is: rc < 0 ? 0n : 1700000000000000001n },
      { u32: needed },
    ],
    rc,
  );

t.test('a property is read with its flags, and again with a larger buffer', async (t) => {
  const { properties, isDone } = await serviceFor([
    getting(FIRST, 'one\0TRANSIENT, RDONLYGUEST\0', 28),
    getting(FIRST, '', 3000, -41),
    getting(3000, `${'x'.repeat(2998)}\0\0`, 3000),
    getting(FIRST, '\xff\xc3\xa9\0\0', 4),
    getting(FIRST, '', 0, -78),
  ]);
  t.same(await properties.get('/a'), {
    name: '/a',
    value: 'one',
    timestamp: '1700000000000000001',
    flags: ['TRANSIENT', 'RDONLYGUEST'],
  });
  t.match(await properties.get('/a'), { value: /^x{2998}$/, flags: [] });
  t.equal((await properties.get('/a')).value, '\ufffdé', 'bytes that are no text do not throw');
  await t.rejects(properties.get('/a'), {
    code: 'ENOENT',
    message: "no property '/a'",
    cause: { code: 'VERR_NOT_FOUND' },
  });
  t.ok(await isDone());
});

t.test('a service that always wants more is not asked for ever, and not believed', async (t) => {
  const sizes = Array.from({ length: 10 }, (_, i) => FIRST * 2 ** i);
  const greedy = sizes.map((size) => getting(size, '', size + 1, -41));
  const { properties, isDone } = await serviceFor([...greedy, getting(FIRST, '', 2 ** 31, -41)]);
  await t.rejects(properties.get('/a'), { code: 'ERANGE' });
  await t.rejects(properties.get('/a'), { code: 'ERANGE' });
  t.ok(await isDone());
});

t.test('a property is set, with and without flags, and deleted', async (t) => {
  const { properties, isDone } = await serviceFor([
    calling(3, [{ text: '/a' }, { text: '1' }]),
    calling(3, [{ text: '/a' }, { text: '' }, { text: 'TRANSIENT' }]),
    calling(4, [{ text: '/a' }]),
  ]);
  await properties.set('/a', '1');
  await properties.set('/a', '', 'TRANSIENT');
  await properties.delete('/a');
  t.ok(await isDone());
});

t.test(
  'what the guest may not change is EACCES, also when the host calls it a success',
  async (t) => {
    const setting = (rc: number) => calling(3, [{ text: '/a' }, { text: '1' }], rc);
    const { properties, isDone } = await serviceFor([
      setting(-10),
      setting(10),
      calling(4, [{ text: '/a' }], 10),
      setting(-42),
      setting(-2),
    ]);
    const set = () => properties.set('/a', '1');
    await t.rejects(set(), { code: 'EACCES', cause: { code: 'VERR_PERMISSION_DENIED' } });
    await t.rejects(set(), { code: 'EACCES', cause: { code: 'VINF_PERMISSION_DENIED' } });
    await t.rejects(properties.delete('/a'), { code: 'EACCES' });
    await t.rejects(set(), { code: 'E2BIG' });
    await t.rejects(set(), { code: 'EINVAL' });
    t.ok(await isDone());
  },
);

const listing = (out: number, gets: string, needed: number, rc = 0) =>
  calling(5, [{ text: '/*' }, { out, gets }, { u32: needed }], rc);

t.test('properties are listed up to an empty name', async (t) => {
  const { properties, isDone } = await serviceFor([
    listing(4096, '', 5000, -41),
    listing(8192, '/b\x002\x0020\x00READONLY\0/a\0\x0010\0\0\0\0\0\0', 30),
    listing(4096, '\0\0\0\0', 4),
    listing(4096, '/cut\0value\0', 10),
    calling(5, [{ text: '/*' }, { out: 4096 }, { u32: 0 }], -42),
  ]);
  t.same(await properties.list('/*'), [
    { name: '/b', value: '2', timestamp: '20', flags: ['READONLY'] },
    { name: '/a', value: '', timestamp: '10', flags: [] },
  ]);
  t.same(await properties.list('/*'), []);
  t.same(await properties.list('/*'), [{ name: '/cut', value: 'value', timestamp: '', flags: [] }]);
  await t.rejects(properties.list('/*'), { code: 'E2BIG' });
  t.ok(await isDone());
});

const waiting = (before: bigint, is: bigint, gets: string) =>
  calling(6, [{ text: '/*' }, { u64: before, is }, { out: 16384, gets }, { u32: 10 }]);

t.test('each change is the next one after that before, and deletions are told', async (t) => {
  const { properties, isDone } = await serviceFor([
    waiting(0n, 100n, '/a\x001\0\x000\0'),
    waiting(100n, 101n, '/a\0\0\x001\0'),
    waiting(101n, 102n, '/a\0\0\x000\0'),
    waiting(102n, 103n, '/a\0\0\0'),
    waiting(103n, 104n, '/a\0\0TRANSIENT\0'),
  ]);
  const changes = [];
  for (let i = 0; i < 5; i++) changes.push(await properties.next('/*', {}));
  t.same(changes, [
    { name: '/a', value: '1', timestamp: '100', flags: [], deleted: false },
    { name: '/a', value: '', timestamp: '101', flags: [], deleted: true },
    { name: '/a', value: '', timestamp: '102', flags: [], deleted: false },
    { name: '/a', value: '', timestamp: '103', flags: [], deleted: true },
    { name: '/a', value: '', timestamp: '104', flags: ['TRANSIENT'], deleted: false },
  ]);
  t.ok(await isDone());
});

t.test('a host without the service has no guest properties', async (t) => {
  for (const rc of [-2900, -12, -37]) {
    const { machine } = recordedMachine('/dev/vboxguest', [
      { ...CONNECT, answer: `${header(156, 28, rc)}00000000` },
    ]);
    const node = await machine.open('/dev/vboxguest');
    const message = 'the host has no guest properties';
    await t.rejects(guestProperties(node), { code: 'EOPNOTSUPP', message }, `${rc}`);
  }
});
