/** Results of VMCI as errors: by what they mean, never by a number that looks like an errno. */
import t from 'tap';
import { exitStatus, reportOf } from '../../../src/cli/errors.js';
import { VMCI_RESULT } from '../../../src/core/abi/vmci-errors.js';
import { checkVmci, vmciError } from '../../../src/core/client/vmci-error.js';

t.test('each result that a caller may meet has a status by its meaning', async (t) => {
  const rows: [keyof typeof VMCI_RESULT, string, number][] = [
    ['VMCI_ERROR_INVALID_RESOURCE', 'EHOSTUNREACH', 6],
    ['VMCI_ERROR_NOT_FOUND', 'EHOSTUNREACH', 6],
    ['VMCI_ERROR_DST_UNREACHABLE', 'EHOSTUNREACH', 6],
    ['VMCI_ERROR_NO_ACCESS', 'EACCES', 5],
    ['VMCI_ERROR_ALREADY_EXISTS', 'EEXIST', 4],
    ['VMCI_ERROR_DUPLICATE_ENTRY', 'EEXIST', 4],
    ['VMCI_ERROR_UNAVAILABLE', 'EBUSY', 4],
    ['VMCI_ERROR_NO_RESOURCES', 'ENOBUFS', 1],
    ['VMCI_ERROR_NO_MEM', 'ENOMEM', 1],
    ['VMCI_ERROR_PAYLOAD_TOO_LARGE', 'EMSGSIZE', 1],
    ['VMCI_ERROR_INVALID_ARGS', 'EINVAL', 1],
    ['VMCI_ERROR_QUEUEPAIR_MISMATCH', 'EINVAL', 1],
    ['VMCI_ERROR_DEVICE_NOT_FOUND', 'ENODEV', 7],
  ];
  for (const [name, code, status] of rows) {
    const error = vmciError(VMCI_RESULT[name]);
    t.equal(error.code, code, name);
    t.equal(exitStatus(error), status, name);
    t.equal(reportOf(error).cause, name);
  }
});

t.test('-12 and -22 are no errors of the system', async (t) => {
  t.match(vmciError(-12), { code: 'EPERM', cause: { code: 'VMCI_ERROR_INVALID_PRIV' } });
  t.match(vmciError(-22), { code: 'EEXIST', cause: { code: 'VMCI_ERROR_ALREADY_EXISTS' } });
});

t.test('a result without a meaning here keeps its name, or its number', async (t) => {
  t.match(reportOf(vmciError(-28)), { code: 'EPROTO', cause: 'VMCI_ERROR_INCORRECT_IRQL' });
  t.match(reportOf(vmciError(-510)), { code: 'EPROTO', cause: 'rc -510' });
});

t.test('words take the place of the message', async (t) => {
  const words = { VMCI_ERROR_NOT_FOUND: ['no doorbell 2:5', 'look'] } as const;
  t.match(vmciError(-21, words), { message: 'no doorbell 2:5', hint: 'look' });
  t.not(vmciError(-1, words).message, 'no doorbell 2:5');
});

t.test('what is not negative is a success', async (t) => {
  t.equal(checkVmci(27), 27);
  t.equal(checkVmci(VMCI_RESULT.VMCI_SUCCESS_QUEUEPAIR_ATTACH), 5);
  t.throws(() => checkVmci(-7), { code: 'EACCES' });
});
