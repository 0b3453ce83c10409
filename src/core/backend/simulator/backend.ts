import { SystemError } from '../../abi/errno.js';
import type { ConnectOptions } from '../connect.js';
import type { Backend } from '../port.js';

export async function connectSimulator(_host: string, _options: ConnectOptions): Promise<Backend> {
  throw new SystemError('ENOSYS');
}
