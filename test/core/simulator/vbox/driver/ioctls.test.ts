/** The table of ioctls: every number, its exact sizes, and what each gives as error or status. */
import t from 'tap';
import { VBOX_STATUS } from '../../../../../src/core/abi/vbox-err.js';
import { VBGL_IOCTLS } from '../../../../../src/core/abi/vboxguest.js';
import { ROOT } from '../../../../../src/core/simulator/node.js';
import { findIoctl, VBG_IOCTLS } from '../../../../../src/core/simulator/vbox/driver/ioctls.js';
import { argument, Call, type HeaderFields, startedGuest } from './guest.js';

/** Complete numbers as the header gives them, and exact sizes. */
const FIXED = [
  { name: 'VBG_IOCTL_DRIVER_VERSION_INFO', request: 0xc02c5600, in: 40, out: 44 },
  { name: 'VBG_IOCTL_HGCM_CONNECT', request: 0xc09c5604, in: 156, out: 28 },
  { name: 'VBG_IOCTL_HGCM_DISCONNECT', request: 0xc01c5605, in: 28, out: 24 },
  { name: 'VBG_IOCTL_WAIT_FOR_EVENTS', request: 0xc020560a, in: 32, out: 28 },
  { name: 'VBG_IOCTL_INTERRUPT_ALL_WAIT_FOR_EVENTS', request: 0xc018560b, in: 24, out: 24 },
  { name: 'VBG_IOCTL_CHANGE_FILTER_MASK', request: 0xc020560c, in: 32, out: 24 },
  { name: 'VBG_IOCTL_ACQUIRE_GUEST_CAPABILITIES', request: 0xc024560d, in: 36, out: 24 },
  { name: 'VBG_IOCTL_CHANGE_GUEST_CAPABILITIES', request: 0xc020560e, in: 32, out: 32 },
  { name: 'VBG_IOCTL_CHECK_BALLOON', request: 0xc0205611, in: 24, out: 32 },
  { name: 'VBG_IOCTL_WRITE_CORE_DUMP', request: 0xc01c5613, in: 28, out: 24 },
] as const;

const SIZED = [
  { name: 'VBG_IOCTL_VMMDEV_REQUEST', request: 0xc0005602 },
  { name: 'VBG_IOCTL_HGCM_CALL_32', request: 0xc0005606 },
  { name: 'VBG_IOCTL_HGCM_CALL_64', request: 0xc0005607 },
  { name: 'VBG_IOCTL_LOG', request: 0x5609 },
  { name: 'VBG_IOCTL_LOG_ALT', request: 0xc0005609 },
] as const;

const BIG = [
  { name: 'VBG_IOCTL_VMMDEV_REQUEST_BIG', request: 0x5603 },
  { name: 'VBG_IOCTL_VMMDEV_REQUEST_BIG_ALT', request: 0xc0005603 },
] as const;

t.test('the table has these rows and no others', async (t) => {
  const all = [...FIXED, ...SIZED, ...BIG].map(({ name }) => name);
  t.strictSame(VBG_IOCTLS.map(({ name }) => name).sort(), all.sort());
});

for (const { name, request, in: sizeIn, out: sizeOut } of FIXED) {
  const call = (header: HeaderFields, number: number = request) => {
    const { node } = startedGuest();
    return new Call(node, number, argument([], { sizeIn, sizeOut, length: 200, ...header }));
  };

  t.test(`${name} is 0x${request.toString(16)}`, async (t) => {
    t.equal(findIoctl(request)?.name, name);
  });

  t.test(`${name}: sizes other than ${sizeIn} and ${sizeOut} are EINVAL`, async (t) => {
    const longer = Math.max(sizeIn, sizeOut);
    if (sizeIn !== longer) t.equal(call({ sizeIn: longer }).code, 'EINVAL', 'longer question');
    if (sizeOut !== longer) t.equal(call({ sizeOut: longer }).code, 'EINVAL', 'longer answer');
    t.equal(call({ sizeIn: longer + 4 }).code, 'EINVAL', "more than the number's");
    if (sizeIn > 24) t.equal(call({ sizeIn: sizeIn - 4 }).code, 'EINVAL', 'shorter question');
    if (sizeOut > 24) t.equal(call({ sizeOut: sizeOut - 4 }).code, 'EINVAL', 'shorter answer');
  });

  t.test(`${name}: a type other than 0 is EINVAL`, async (t) => {
    t.equal(call({ type: 4 }).code, 'EINVAL');
  });

  t.test(`${name}: the same with another size in the number is ENOTTY`, async (t) => {
    const size = Math.max(sizeIn, sizeOut) + 4;
    const number = ((request & 0xc000ffff) | (size << 16)) >>> 0;
    t.equal(call({ sizeIn: size, sizeOut: size }, number).code, 'ENOTTY');
    t.equal(call({}, request & 0xffff).code, 'ENOTTY', 'nor without direction and size');
  });
}

for (const { name, request } of SIZED) {
  t.test(`${name}: any size in the number is taken`, async (t) => {
    for (const size of [0, 24, 1024, 0x3fff]) {
      t.equal(findIoctl((request | (size << 16)) >>> 0)?.name, name);
    }
  });
}

for (const { name, request } of BIG) {
  t.test(`${name}: a size in the number is unknown`, async (t) => {
    t.equal(findIoctl(request)?.name, name);
    t.equal(findIoctl((request | (24 << 16)) >>> 0), undefined);
  });
}

for (const [name, request] of Object.entries(VBGL_IOCTLS)) {
  t.test(`${name} of the driver outside of the kernel is ENOTTY`, async (t) => {
    const { node } = startedGuest();
    const size = (request >>> 16) & 0x3fff;
    const bytes = argument([], { sizeIn: size, sizeOut: size });
    t.equal(new Call(node, request, bytes).code, 'ENOTTY');
  });
}

t.test('an unknown number is told in the log, ten times in five seconds', async (t) => {
  const { node, kernelLog, advance } = startedGuest();
  const unknown = (times: number) => {
    for (let i = 0; i < times; i++) new Call(node, 0x5663, argument([]));
  };
  unknown(25);
  t.strictSame(kernelLog, Array(10).fill('Userspace made an unknown ioctl req 0x005663'));
  advance(4999);
  unknown(1);
  t.equal(kernelLog.length, 10);
  advance(1);
  unknown(1);
  t.strictSame(kernelLog.slice(10), [
    'vbg_err_ratelimited: 16 callbacks suppressed',
    'Userspace made an unknown ioctl req 0x005663',
  ]);
});

t.test('both nodes know the same numbers', async (t) => {
  const { driver } = startedGuest();
  const node = driver.open('vboxuser', ROOT);
  for (const { name, request, in: sizeIn, out: sizeOut } of FIXED) {
    const call = new Call(node, request, argument([], { sizeIn, sizeOut }));
    t.not(call.code, 'ENOTTY', name);
    t.not(call.code, 'EPERM', name);
  }
});

interface VersionCase {
  readonly title: string;
  readonly req: number;
  readonly min: number;
  readonly code: string;
  readonly session?: number;
  readonly rc?: number;
}

const { VERR_VERSION_MISMATCH } = VBOX_STATUS;
const VERSIONS: readonly VersionCase[] = [
  { title: 'its own', req: 0x10000, min: 0x10000, code: 'ok', session: 0x10000, rc: 0 },
  { title: 'a newer minor', req: 0x10005, min: 0x10000, code: 'ok', session: 0x10000, rc: 0 },
  {
    title: 'a newer minor at least',
    req: 0x10005,
    min: 0x10001,
    code: 'ok',
    session: 0xffffffff,
    rc: VERR_VERSION_MISMATCH,
  },
  {
    title: 'another major',
    req: 0x20000,
    min: 0x20000,
    code: 'ok',
    session: 0xffffffff,
    rc: VERR_VERSION_MISMATCH,
  },
  {
    title: 'an older major',
    req: 0x1,
    min: 0x0,
    code: 'ok',
    session: 0xffffffff,
    rc: VERR_VERSION_MISMATCH,
  },
  { title: 'a least version above the wanted', req: 0x10000, min: 0x10001, code: 'EINVAL' },
  { title: 'majors that differ', req: 0x20000, min: 0x10000, code: 'EINVAL' },
];

for (const { title, req, min, code, session, rc } of VERSIONS) {
  t.test(
    `VERSION_INFO: ${title} gives ${code}${rc === undefined ? '' : `, rc ${rc}`}`,
    async (t) => {
      const { node } = startedGuest();
      const bytes = argument([req, min, 1, 2], { sizeIn: 40, sizeOut: 44 });
      const call = new Call(node, 0xc02c5600, bytes);
      t.equal(call.code, code);
      if (session === undefined) return;
      t.equal(call.rc, rc);
      t.equal(call.word(24), session);
      t.equal(call.word(28), 0x10000, 'the driver');
      t.strictSame([call.word(32), call.word(36), call.word(40)], [0, 0, 0]);
    },
  );
}

t.test('LOG: size_out other than 24 is EINVAL', async (t) => {
  const { node, kernelLog } = startedGuest();
  const text = new TextEncoder().encode('hello');
  t.equal(new Call(node, 0x5609, argument(text)).code, 'EINVAL');
  t.equal(kernelLog.length, 0);
});

for (const [name, request] of [
  ['LOG', 0x5609],
  ['LOG_ALT', 0xc0005609],
] as const) {
  t.test(`${name}: the text is in the kernel's log and at the port`, async (t) => {
    const { node, kernelLog, device } = startedGuest();
    const text = new TextEncoder().encode('hello\n');
    const call = new Call(node, request, argument(text, { sizeOut: 24 }));
    t.equal(call.code, 'ok');
    t.equal(call.rc, 0);
    t.strictSame(kernelLog, ['hello']);
    t.equal(device.logged, 'hello\n');
  });
}

t.test('LOG: no text at all is fine', async (t) => {
  const { node, kernelLog } = startedGuest();
  t.equal(new Call(node, 0x5609, argument([])).code, 'ok');
  t.strictSame(kernelLog, ['']);
});

t.test('LOG: 127 characters survive, up to the first NUL', async (t) => {
  const { node, kernelLog, device } = startedGuest();
  new Call(node, 0x5609, argument(new Uint8Array(300).fill(0x78), { sizeOut: 24 }));
  t.strictSame(kernelLog, ['x'.repeat(127)]);
  t.equal(device.logged, 'x'.repeat(127));
  new Call(node, 0x5609, argument(new TextEncoder().encode('one\0two'), { sizeOut: 24 }));
  t.equal(kernelLog.at(-1), 'one');
});

t.test('LOG: control characters do not make a second line', async (t) => {
  const { node, kernelLog } = startedGuest();
  const text = new TextEncoder().encode('a\nb\u001b[31m\n');
  new Call(node, 0x5609, argument(text, { sizeOut: 24 }));
  t.strictSame(kernelLog, ['a\\x0ab\\x1b[31m']);
});

t.test('LOG: the kernel logs ten in five seconds, the port has them all', async (t) => {
  const { node, kernelLog, device } = startedGuest();
  const text = new TextEncoder().encode('x\n');
  for (let i = 0; i < 30; i++) new Call(node, 0x5609, argument(text, { sizeOut: 24 }));
  t.equal(kernelLog.length, 10);
  t.equal(device.logged, 'x\n'.repeat(30));
});

t.test('CHECK_BALLOON: gives the chunks, and never wants the program to work', async (t) => {
  const { node, device } = startedGuest();
  const call = new Call(node, 0xc0205611, argument([], { sizeIn: 24, sizeOut: 32 }));
  t.equal(call.code, 'ok');
  t.equal(call.word(24), 0);
  t.equal(call.word(28), 0);
  t.strictSame(device.types(), [], 'the host is not asked');
});

t.test('WRITE_CORE_DUMP: the status is what the host says, the error is none', async (t) => {
  const { node, device } = startedGuest();
  device.refuse('VMMDevReq_WriteCoreDump', VBOX_STATUS.VERR_ACCESS_DENIED);
  const call = new Call(node, 0xc01c5613, argument([0x7], { sizeOut: 24 }));
  t.equal(call.code, 'ok');
  t.equal(call.rc, -38);
  const [seen] = device.of('VMMDevReq_WriteCoreDump');
  t.equal(new DataView(seen?.bytes.buffer ?? new ArrayBuffer(28)).getUint32(24, true), 7);
});

t.test('WRITE_CORE_DUMP: without memory is ENOMEM', async (t) => {
  const { node, pages } = startedGuest(2 * 1024 * 1024);
  while (pages.allocate(4096) !== undefined);
  t.equal(new Call(node, 0xc01c5613, argument([0], { sizeOut: 24 })).code, 'ENOMEM');
});
