/** What is sent to VirtualBox's driver, byte for byte as the header has it, and how it refuses. */
import t from 'tap';
import type { ErrorCode } from '../../../src/core/abi/errno.js';
import { VBOX_STATUS } from '../../../src/core/abi/vbox-err.js';
import { vboxError } from '../../../src/core/client/vbox-error.js';
import { checkBalloon, openVboxGuest, vmmDevRequest } from '../../../src/core/client/vboxguest.js';
import {
  changeFilter,
  interruptAll,
  waitForEvents,
} from '../../../src/core/client/vmmdev-events.js';
import { type RecordedCall, recordedMachine } from '../../helpers/tree-machine.js';

const hex = (text: string) => text.replace(/\s/g, '');
/** size_in, version 1.1, type, rc, size_out, reserved. */
const header = (sizeIn: string, sizeOut: string, rc = '00000000', type = '00000000') =>
  `${sizeIn}000000 01000100 ${type} ${rc} ${sizeOut}000000 00000000`;

async function deviceFor(calls: readonly RecordedCall[]) {
  const recorded = recordedMachine('/dev/vboxguest', calls);
  const node = await openVboxGuest(recorded.machine);
  return { node, isDone: recorded.isDone };
}

const FILTER: RecordedCall = {
  request: 0xc020560c,
  argument: hex(`${header('20', '18')} 44000000 01000000`),
  answer: hex(`${header('20', '18')} 44000000 01000000`),
};
const WAIT: RecordedCall = {
  request: 0xc020560a,
  argument: hex(`${header('20', '1c')} e8030000 14000000`),
};

t.test('a filter is changed, and events are waited for', async (t) => {
  const { node, isDone } = await deviceFor([
    FILTER,
    { ...WAIT, answer: hex(`${header('20', '1c')} 10000000 14000000`) },
    { request: 0xc018560b, argument: hex(header('18', '18')), answer: hex(header('18', '18')) },
    { ...WAIT, argument: hex(`${header('20', '1c')} ffffffff 14000000`), error: 'EINTR' },
  ]);
  await changeFilter(node, 0x44, 0x1);
  t.equal(await waitForEvents(node, 0x14, { timeoutMs: 1000 }), 0x10);
  await interruptAll(node);
  await t.rejects(waitForEvents(node, 0x14), { code: 'EINTR' });
  await node.close();
  t.ok(isDone());
});

t.test('a wait ends alike with an error of Linux and with a status of VirtualBox', async (t) => {
  const ended = (rc: string) => ({ ...WAIT, answer: hex(`${header('20', '1c', rc)} 00 00 00 00`) });
  const { node } = await deviceFor([
    { ...WAIT, error: 'ETIMEDOUT' },
    ended('d8ffffff'),
    ended('d9ffffff'),
    ended('feffffff'),
  ]);
  const wait = () => waitForEvents(node, 0x14, { timeoutMs: 1000 });
  await t.rejects(wait(), { code: 'ETIMEDOUT' });
  await t.rejects(wait(), { code: 'ETIMEDOUT', cause: { code: 'VERR_TIMEOUT', status: -40 } });
  await t.rejects(wait(), { code: 'EINTR' });
  await t.rejects(wait(), { code: 'EINVAL', path: '/dev/vboxguest' });
});

t.test('an answer that is too short is none', async (t) => {
  const { node } = await deviceFor([{ ...WAIT, answer: hex(header('20', '1c')) }]);
  await t.rejects(waitForEvents(node, 0x14, { timeoutMs: 1000 }), { code: 'EPROTO' });
});

t.test('the balloon is asked for its chunks', async (t) => {
  const ask = { request: 0xc0205611, argument: hex(`${header('18', '20')} 00000000 00000000`) };
  const { node } = await deviceFor([
    { ...ask, answer: hex(`${header('18', '20')} 40010000 00000000`) },
    { ...ask, answer: hex(`${header('18', '20')} 40010000 01000000`) },
  ]);
  t.equal(await checkBalloon(node), 320);
  await t.rejects(checkBalloon(node), { code: 'EOPNOTSUPP' });
});

t.test('a request to the device has its number in the header', async (t) => {
  const time = (rc: string, body: string) => hex(`${header('20', '20', rc, '0a000000')} ${body}`);
  const { node } = await deviceFor([
    {
      request: 0xc0205602,
      argument: time('00000000', '0000000000000000'),
      answer: time('dbffffff', '0102030405060708'),
    },
    {
      request: 0x5603,
      argument: hex(`00040000 01000100 06000000 00000000 00040000 00000000 ${'00'.repeat(1000)}`),
      error: 'EPERM',
    },
  ]);
  const answer = await vmmDevRequest(node, 10, new Uint8Array(32));
  t.equal(answer.status, -37);
  t.equal(Buffer.from(answer.data).toString('hex', 24), '0102030405060708');
  await t.rejects(vmmDevRequest(node, 6, new Uint8Array(1024)), { code: 'EPERM' });
});

t.test('the node for all users is taken where the other is not allowed', async (t) => {
  const { machine } = recordedMachine('/dev/vboxuser', []);
  await t.rejects(openVboxGuest(machine), { code: 'ENODEV', cause: { code: 'ENOENT' } });
  const denying = (code: ErrorCode, path: string) => ({
    ...machine,
    open: async (name: string) => {
      if (name !== '/dev/vboxguest') return machine.open(name);
      throw Object.assign(vboxError(0), { code, path });
    },
  });
  const node = await openVboxGuest(denying('EACCES', '/dev/vboxguest'));
  t.equal(node.path, '/dev/vboxuser');
  await t.rejects(openVboxGuest(denying('EBUSY', '/dev/vboxguest')), { code: 'EBUSY' });
  await t.rejects(openVboxGuest(denying('ENOENT', 'no-vm')), { code: 'ENOENT', path: 'no-vm' });
});

t.test('statuses become errors by what they mean', async (t) => {
  const expected: [keyof typeof VBOX_STATUS, ErrorCode][] = [
    ['VERR_NOT_FOUND', 'ENOENT'],
    ['VERR_HGCM_SERVICE_NOT_FOUND', 'ENOENT'],
    ['VERR_FILE_NOT_FOUND', 'ENOENT'],
    ['VERR_PERMISSION_DENIED', 'EACCES'],
    ['VERR_ACCESS_DENIED', 'EACCES'],
    ['VERR_NOT_IMPLEMENTED', 'EOPNOTSUPP'],
    ['VERR_NOT_SUPPORTED', 'EOPNOTSUPP'],
    ['VERR_TOO_MUCH_DATA', 'E2BIG'],
    ['VERR_TIMEOUT', 'ETIMEDOUT'],
    ['VERR_INTERRUPTED', 'EINTR'],
    ['VERR_INVALID_PARAMETER', 'EINVAL'],
    ['VERR_PARSE_ERROR', 'EINVAL'],
    ['VERR_ALREADY_EXISTS', 'EEXIST'],
    ['VERR_INTERNAL_ERROR', 'EPROTO'],
  ];
  for (const [name, code] of expected) {
    t.match(vboxError(VBOX_STATUS[name]), { code, cause: { code: name } }, name);
  }
  t.match(vboxError(-12345), { code: 'EPROTO', cause: { code: 'rc -12345', status: -12345 } });
  const words = { VERR_NOT_FOUND: ['not here', 'look there'] } as const;
  t.match(vboxError(-78, words), { code: 'ENOENT', message: 'not here', hint: 'look there' });
  t.match(vboxError(-37, words, { message: 'else' }), { code: 'EOPNOTSUPP', message: 'else' });
});
