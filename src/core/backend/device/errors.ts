/** What the native layer says, as the port says it. */
import { codeOf, type ErrnoSystem, type ErrorDetails, SystemError } from '../../abi/errno.js';
import { NativeMissingError } from '../../native/koffi.js';

const SYSTEM: ErrnoSystem = process.platform === 'freebsd' ? 'freebsd' : 'linux';

/** The result of a system call. @throws SystemError for a negated errno. */
export function check(result: number, details: ErrorDetails): number {
  if (result < 0) throw systemError(-result, details);
  return result;
}

export function systemError(errno: number, details: ErrorDetails): SystemError {
  const code = codeOf(errno, SYSTEM);
  if (code !== undefined) return new SystemError(code, details);
  return new SystemError('EIO', { ...details, message: `the system's error number ${errno}` });
}

/** Loads part of the native layer. @throws SystemError EOPNOTSUPP where it can't be. */
export async function native<T>(loading: Promise<T>): Promise<T> {
  try {
    return await loading;
  } catch (error) {
    if (!(error instanceof NativeMissingError)) throw error;
    throw new SystemError('EOPNOTSUPP', {
      message: error.message,
      hint: 'install vmmctl with its optional packages, or use the simulated host: --backend sim',
      cause: error,
    });
  }
}
