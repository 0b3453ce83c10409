/** What a descriptor of /dev/cuse does that is not there, or says something else than we expect. */
import t from 'tap';
import { type ErrorCode, errnoOf } from '../../../../src/core/abi/errno.js';
import { cuse_init_in, FUSE_OPCODE } from '../../../../src/core/abi/fuse.js';
import { CuseChannel, type CuseSystem } from '../../../../src/core/export/cuse/channel.js';
import { message } from './kernel.js';

const INIT = message(
  FUSE_OPCODE.CUSE_INIT,
  2n,
  cuse_init_in.encode({ major: 7, minor: 38, flags: 1 }),
);
/** A name that nothing has. */
const NAME = 'vmmctl-test-node';

interface Script {
  open?: ErrorCode;
  /** What each read gives: a message or an error; EAGAIN after the last. */
  reads?: (Uint8Array | ErrorCode)[];
  write?: ErrorCode;
}

function scripted({ open, reads = [], write }: Script) {
  const closed: number[] = [];
  const negated = (code: ErrorCode) => -errnoOf(code, 'linux');
  const system: CuseSystem = {
    libc: {
      open: () => (open === undefined ? 9 : negated(open)),
      read: (_fd, into) => {
        const next = reads.shift() ?? 'EAGAIN';
        if (typeof next === 'string') return negated(next);
        into.set(next);
        return next.length;
      },
      write: (_fd, bytes) => (write === undefined ? bytes.length : negated(write)),
      close: (fd) => closed.push(fd),
    },
    reactor: { add: () => 0, remove: () => undefined },
    buffer: new Uint8Array(8192),
  };
  const make = (name = NAME) =>
    new CuseChannel(system, { name, mode: 0o600, log: () => undefined });
  return { make, closed };
}

t.test('no /dev/cuse, or not for us', async (t) => {
  for (const open of ['ENOENT', 'ENODEV', 'ENXIO'] as const) {
    const error = { code: 'ENODEV', path: '/dev/cuse', hint: /modprobe cuse/ };
    t.throws(() => scripted({ open }).make(), error);
  }
  t.throws(() => scripted({ open: 'EACCES' }).make(), { code: 'EACCES', hint: /as root/ });
  t.throws(() => scripted({ open: 'EMFILE' }).make(), { code: 'EMFILE' });
});

t.test('a name that something has', async (t) => {
  t.throws(() => scripted({}).make('null'), { code: 'EEXIST', path: '/dev/null' });
});

t.test('a kernel that says something else closes the descriptor', async (t) => {
  const cases: [Script, ErrorCode][] = [
    [{ reads: [] }, 'EPROTO'],
    [{ reads: ['EIO'] }, 'EPROTO'],
    [{ reads: [INIT.subarray(1)] }, 'EPROTO'],
    [{ reads: [INIT], write: 'EINVAL' }, 'EINVAL'],
    [{ reads: [INIT, 'ENODEV'] }, 'EEXIST'],
    [{ reads: [INIT, 'EAGAIN'] }, 'ENODEV'],
  ];
  for (const [script, code] of cases) {
    const { make, closed } = scripted(script);
    t.throws(() => make(), { code }, JSON.stringify(code));
    t.strictSame(closed, [9]);
  }
});
