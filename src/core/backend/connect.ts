/** Finds the backend that a URI names. */
import { SystemError } from '../abi/errno.js';
import type { Backend } from './port.js';

/** As whom to act on the simulated host; the default is root on the host, with all capabilities. */
export interface CallerOptions {
  uid?: number | undefined;
  gid?: number | undefined;
  /** Path of jails, `a/b`; empty is the host. */
  jail?: string | undefined;
}

export interface ConnectOptions {
  caller?: CallerOptions | undefined;
  /** Called with one line for each call through the port, when tracing is on. */
  trace?: ((line: string) => void) | undefined;
  /** Whether a simulated host that does not run is started; default true. ENXIO when it is not. */
  start?: boolean | undefined;
}

/**
 * @param uri `sim`, `sim:NAME` or `device`.
 * @throws SystemError EINVAL for a URI that names no backend; EOPNOTSUPP for one that is not there.
 */
export async function connectBackend(uri: string, options: ConnectOptions = {}): Promise<Backend> {
  const [kind, name] = splitUri(uri);
  if (kind === 'sim') {
    const { connectSimulator } = await import('./simulator/backend.js');
    return connectSimulator(name, options);
  }
  if (kind === 'device') {
    const { connectDevice } = await import('./device/backend.js');
    return connectDevice(options);
  }
  throw new SystemError('EOPNOTSUPP', {
    message: `this version of vmmctl has no backend '${kind}'`,
    hint: 'use the simulated host: --backend sim',
  });
}

function splitUri(uri: string): [string, string] {
  const colon = uri.indexOf(':');
  return colon < 0 ? [uri, 'default'] : [uri.slice(0, colon), uri.slice(colon + 1)];
}
