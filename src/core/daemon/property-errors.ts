/** What a status of the property service is to the host's programs. */
import { type ErrorCode, SystemError } from '../abi/errno.js';
import { VBOX_STATUS, vboxStatusName } from '../abi/vbox-err.js';

const MEANINGS: ReadonlyMap<number, readonly [ErrorCode, what: string]> = new Map([
  [VBOX_STATUS.VERR_NOT_FOUND, ['ENOENT', 'there is none']],
  [VBOX_STATUS.VERR_PERMISSION_DENIED, ['EACCES', 'it is read-only for the host']],
  [VBOX_STATUS.VERR_TOO_MUCH_DATA, ['E2BIG', 'the value is too long, or there are too many']],
  [VBOX_STATUS.VERR_PARSE_ERROR, ['EINVAL', 'there are no such flags']],
  [VBOX_STATUS.VERR_INVALID_PARAMETER, ['EINVAL', 'that is no name, or no value, of a property']],
]);

export function propertyError(status: number, name: string): SystemError {
  const [code, what] = MEANINGS.get(status) ?? ['EPROTO', 'the service refuses'];
  return new SystemError(code, {
    message: `property '${name}': ${what} (${vboxStatusName(status)})`,
  });
}
