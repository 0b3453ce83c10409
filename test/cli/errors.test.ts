import t from 'tap';
import {
  CodeError,
  exitStatus,
  renderError,
  STATUS_CODES,
  StatusError,
  UsageError,
} from '../../src/cli/errors.js';
import { TOPICS } from '../../src/cli/topics.js';
import { isErrorCode, SystemError } from '../../src/core/abi/errno.js';

t.test('a status follows from the code', async (t) => {
  for (const [status, codes] of Object.entries(STATUS_CODES)) {
    for (const code of codes) t.equal(exitStatus(new CodeError(code, 'x')), Number(status), code);
  }
  t.equal(exitStatus(new SystemError('EIO')), 1);
  t.equal(exitStatus(new SystemError('EINVAL')), 1, 'an EINVAL of the kernel is no wrong usage');
  t.equal(exitStatus(new UsageError('x')), 2);
  t.equal(exitStatus(new TypeError('x')), 1);
  t.equal(exitStatus('x'), 1);
  t.equal(exitStatus(new StatusError(125, new SystemError('EEXIST'))), 125);
});

t.test('the statuses are documented, and their codes are known', async (t) => {
  for (const [status, codes] of Object.entries(STATUS_CODES)) {
    t.match(TOPICS['exit-codes']?.text, `${status}      `);
    t.match(TOPICS['exit-codes']?.text, codes.join(', '));
    for (const code of codes) t.ok(isErrorCode(code), code);
  }
});

t.test('an error is one line and a hint', async (t) => {
  const render = (error: unknown, context = 'list') => renderError(error, { context, json: false });
  t.equal(
    render(new SystemError('ENOENT', { message: 'no VM' })),
    'vmmctl: list: no VM (ENOENT)\n',
  );
  t.equal(render(new UsageError('bad', 'try')), 'vmmctl: list: bad (EINVAL)\nhint: try\n');
  t.equal(render(new UsageError('bad'), ''), 'vmmctl: bad (EINVAL)\n');
  t.equal(render(new TypeError('oops')), 'vmmctl: list: oops\n');
  t.equal(
    render(new SystemError('EACCES', { path: '/dev/vmmctl' })),
    'vmmctl: list: /dev/vmmctl: permission denied (EACCES)\n',
  );
  t.equal(
    render(new SystemError('ENOENT', { message: 'no', cause: new SystemError('EINVAL') })),
    'vmmctl: list: no (ENOENT, from EINVAL)\n',
  );
  for (const code of ['VERR_NOT_FOUND', 'VINF_PERMISSION_DENIED', 'rc -12345']) {
    const cause = Object.assign(new Error('x'), { code });
    const error = new SystemError('ENOENT', { message: 'no', cause });
    t.equal(render(error), `vmmctl: list: no (ENOENT, from ${code})\n`, 'the status of a device');
  }
  const other = Object.assign(new Error('x'), { code: 'ERR_\n' });
  t.equal(
    render(new SystemError('ENOENT', { message: 'no', cause: other })),
    'vmmctl: list: no (ENOENT)\n',
  );
  const node = Object.assign(new Error("ENOENT: no such file or directory, open '/x'"), {
    code: 'ENOENT',
    path: '/x',
  });
  t.equal(render(node), "vmmctl: list: no such file or directory, open '/x' (ENOENT)\n");
});

t.test('control characters of a name do not reach the terminal', async (t) => {
  const error = new SystemError('ENOENT', { message: 'no \u001b[2J\n\u009b31m', hint: '\u0007' });
  const text = renderError(error, { context: 'x', json: false });
  t.equal(text, 'vmmctl: x: no \\x1b[2J\\n\\x9b31m (ENOENT)\nhint: \\x07\n');
});

t.test('with --json an error is a document', async (t) => {
  const cause = new SystemError('EINVAL');
  const error = new SystemError('ENOENT', { message: 'no VM', hint: 'h', cause });
  t.same(JSON.parse(renderError(error, { context: 'x', json: true })), {
    error: { code: 'ENOENT', message: 'no VM', hint: 'h', cause: 'EINVAL' },
  });
  t.same(JSON.parse(renderError(new UsageError('u'), { context: 'x', json: true })), {
    error: { code: 'EINVAL', message: 'u' },
  });
});
