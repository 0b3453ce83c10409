/** The two nodes: who may open them, whom the host sees, and what is checked of every argument, in its order. */
import t from 'tap';
import { type Caller, ROOT } from '../../../../../src/core/simulator/node.js';
import { codeOf } from '../../../../helpers/vmm.js';
import { argument, Call, type HeaderFields, startedGuest } from './guest.js';

const USER: Caller = { uid: 1000, gid: 1000, groups: [1000], capabilities: new Set(), jail: '' };
const IN_GROUP: Caller = { ...USER, groups: [1000, 0] };
const GID_ROOT: Caller = { ...USER, gid: 0 };
const BARE_ROOT: Caller = { ...ROOT, capabilities: new Set() };
const OVERRIDE: Caller = { ...USER, capabilities: new Set(['CAP_DAC_OVERRIDE']) };

const INTERRUPT_ALL = 0xc018560b;
const VERSION_INFO = 0xc02c5600;
const REQUEST = 0xc0005602;
const BIG = 0x5603;
const LOG = 0x5609;
const MIB = 1024 * 1024;

interface Open {
  readonly who: string;
  readonly caller: Caller;
  readonly vboxguest: string;
  /** What the host sees of a call by /dev/vboxguest. */
  readonly requestor: number;
}

const OPENS: readonly Open[] = [
  { who: 'root', caller: ROOT, vboxguest: 'ok', requestor: 0x8b },
  { who: 'root without capabilities', caller: BARE_ROOT, vboxguest: 'ok', requestor: 0x8b },
  { who: 'a user', caller: USER, vboxguest: 'EACCES', requestor: 0xe },
  { who: 'a user with CAP_DAC_OVERRIDE', caller: OVERRIDE, vboxguest: 'ok', requestor: 0xe },
  { who: "a user in the node's group", caller: IN_GROUP, vboxguest: 'ok', requestor: 0x8e },
  { who: 'a user with group root', caller: GID_ROOT, vboxguest: 'ok', requestor: 0x8e },
];

for (const { who, caller, vboxguest, requestor } of OPENS) {
  t.test(`open: ${who} gets ${vboxguest} from vboxguest, and may open vboxuser`, async (t) => {
    const { driver } = startedGuest();
    t.equal(
      codeOf(() => driver.open('vboxguest', caller)),
      vboxguest,
    );
    t.equal(
      codeOf(() => driver.open('vboxuser', caller)),
      'ok',
    );
  });

  t.test(`requestor: ${who} is 0x${requestor.toString(16)}, with 0x8000 by vboxuser`, async (t) => {
    const { driver, device } = startedGuest();
    const ask = (name: 'vboxguest' | 'vboxuser') => {
      const node = driver.open(name, caller);
      new Call(node, 0xc01c5613, argument([0], { sizeOut: 24 }));
      return device.of('VMMDevReq_WriteCoreDump').at(-1)?.requestor;
    };
    if (vboxguest === 'ok') t.equal(ask('vboxguest'), requestor);
    t.equal(ask('vboxuser'), requestor | 0x8000);
  });
}

interface Check {
  readonly title: string;
  readonly request?: number;
  readonly argument: Uint8Array | number;
  readonly code: string;
}

const row = (
  title: string,
  code: string,
  header: HeaderFields,
  request: number = INTERRUPT_ALL,
): Check => ({ title, request, argument: argument([], header), code });

/** In the order of the checks; each row breaks what a later check looks at too, where it can. */
const CHECKS: readonly Check[] = [
  { title: 'a plain number', argument: 24, code: 'EFAULT' },
  { title: 'no argument at all', argument: new Uint8Array(0), code: 'EFAULT' },
  row('23 bytes of a header', 'EFAULT', { length: 23, version: 1 }),
  row('another version', 'EINVAL', { version: 0x10000, sizeIn: 0, length: 24 }),
  row('size_in 0', 'EINVAL', { sizeIn: 0, sizeOut: 24 }),
  row('size_in 23', 'EINVAL', { sizeIn: 23, sizeOut: 24 }),
  row('size_out 1', 'EINVAL', { sizeOut: 1 }),
  row('size_out 23', 'EINVAL', { sizeOut: 23 }),
  row("a size that is not the number's", 'EINVAL', { sizeIn: 17 * MIB, length: 24 }),
  row('a size below that of the number', 'EINVAL', { length: 32, sizeOut: 24 }, 0xc0205609),
  row('the longer size counts: size_out', 'EINVAL', { sizeOut: 32 }),
  row('more than 16 MiB', 'E2BIG', { sizeIn: 16 * MIB + 1, length: 24 }, LOG),
  row('size_out of more than 16 MiB', 'E2BIG', { sizeOut: 16 * MIB + 1, length: 24 }, LOG),
  row('0xffffffff bytes', 'E2BIG', { sizeIn: 0xffffffff, length: 24 }, LOG),
  row(
    '16 MiB, which is more than contiguous memory',
    'ENOMEM',
    { sizeIn: 16 * MIB, length: 24 },
    LOG,
  ),
  row('a request over 4 MiB', 'ENOMEM', { sizeIn: 4 * MIB + 1, type: 4, length: 24 }, BIG),
  row('a buffer shorter than size_in', 'EFAULT', { sizeIn: 4 * MIB, length: 24 }, LOG),
  row('a buffer one byte too short', 'EFAULT', { sizeIn: 25, length: 24, type: 1 }, LOG),
  row('a type other than 0', 'EINVAL', { type: 1 }),
  row('a type other than 0, for an unknown number', 'EINVAL', { type: 1 }, 0x5663),
  row('an unknown number', 'ENOTTY', {}, 0x5663),
];

for (const { title, request = INTERRUPT_ALL, argument: bytes, code } of CHECKS) {
  t.test(`argument: ${title} is ${code}`, async (t) => {
    const { node } = startedGuest();
    t.equal(new Call(node, request, bytes).code, code);
  });
}

t.test(
  'argument: size_out 0 means size_in where the answer is as long as the question',
  async (t) => {
    const { node } = startedGuest();
    t.equal(new Call(node, INTERRUPT_ALL, argument([], { sizeOut: 0, length: 24 })).code, 'ok');
    const caps = argument([0, 0], { sizeOut: 0, length: 32 });
    t.equal(new Call(node, 0xc020560e, caps).code, 'ok');
    const request = argument([0, 0, 0, 0], { sizeOut: 0, length: 40, type: 4 });
    t.equal(new Call(node, REQUEST | (40 << 16), request).code, 'ok');
  },
);

t.test('argument: size_out 0 is EINVAL where the answer is longer or shorter', async (t) => {
  const { node } = startedGuest();
  const wait = argument([0, 0], { sizeOut: 0, length: 32 });
  t.equal(new Call(node, 0xc020560a, wait).code, 'EINVAL');
  const log = argument([0x61], { sizeOut: 0, length: 28 });
  t.equal(new Call(node, LOG, log).code, 'EINVAL');
});

t.test('argument: what lies behind size_in is zero to the driver', async (t) => {
  const { node } = startedGuest();
  const longer = argument([], { sizeIn: 24, sizeOut: 32, length: 32 }).fill(0xff, 24);
  const call = new Call(node, 0xc0205611, longer);
  t.equal(call.code, 'ok');
  t.equal(call.word(24), 0);
  t.equal(call.word(28), 0);
});

t.test(
  'argument: an answer that the buffer is too short for is EFAULT, though all was done',
  async (t) => {
    const { node } = startedGuest();
    const short = argument([0x10000, 0x10000, 0, 0], { sizeIn: 40, sizeOut: 44, length: 40 });
    t.equal(new Call(node, VERSION_INFO, short).code, 'EFAULT');
  },
);

t.test('argument: only size_out bytes change, and the caller keeps its own buffer', async (t) => {
  const { node } = startedGuest();
  const bytes = argument([0x10000, 0x10000, 0, 0], { sizeIn: 40, sizeOut: 44, length: 60 });
  bytes.fill(0xee, 40);
  const before = bytes.slice();
  const call = new Call(node, VERSION_INFO, bytes);
  t.strictSame(bytes, before);
  t.equal(call.data.length, 60);
  t.equal(call.word(24), 0x10000);
  t.strictSame(call.data.subarray(44), before.subarray(44));
});

t.test('argument: an error copies nothing back', async (t) => {
  const { node } = startedGuest();
  const call = new Call(node, INTERRUPT_ALL, argument([], { type: 1, rc: 99 }));
  t.equal(call.code, 'EINVAL');
  t.equal(call.data.length, 0);
});

t.test('argument: rc is 0 before the handler, whatever it was', async (t) => {
  const { node } = startedGuest();
  t.equal(new Call(node, INTERRUPT_ALL, argument([], { rc: -5 })).rc, 0);
});

t.test('argument: reserved is not looked at', async (t) => {
  const { node } = startedGuest();
  t.equal(new Call(node, INTERRUPT_ALL, argument([], { reserved: 0xffffffff })).code, 'ok');
});

t.test('a number with its sign bit set is the same number', async (t) => {
  const { node } = startedGuest();
  t.equal(new Call(node, INTERRUPT_ALL | 0, argument([])).code, 'ok');
});

t.test('close: ioctls are EBADF afterwards, and to close again does nothing', async (t) => {
  const { node } = startedGuest();
  node.close();
  node.close();
  t.equal(new Call(node, INTERRUPT_ALL, argument([])).code, 'EBADF');
});
