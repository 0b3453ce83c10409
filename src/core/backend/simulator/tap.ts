/** The packets of the simulated host: fetched from the daemon, which keeps some while we are busy. */
import { SystemError } from '../../abi/errno.js';
import { decodeRecords } from '../../abi/pcap.js';
import type { TapBatch, TapOptions, TappedPacket } from '../port/vsock.js';
import type { Connection } from './connection.js';

/** @param machine whose packets, as the daemon's calls name it. */
export async function* tapSimulated(
  connection: Connection,
  machine: { vm?: string },
  { signal, port, snapLength }: TapOptions,
): AsyncGenerator<TapBatch> {
  const { values } = await connection.call('capture', { ...machine, port, snapLength });
  const handle = Number(values.handle);
  let over = false;
  try {
    yield { packets: [], lost: 0 };
    while (!over) {
      // A call can't be made with a signal that has already aborted.
      const end = signal.aborted;
      const options = end ? {} : { signal };
      const answer = await connection.call('captureRead', { handle, end }, options);
      over = answer.values.over === true;
      yield { packets: records(answer.binary), lost: Number(answer.values.lost) };
    }
  } finally {
    if (!over) await connection.call('captureClose', { handle });
  }
}

function records(data: Uint8Array): TappedPacket[] {
  try {
    return decodeRecords(data);
  } catch (cause) {
    throw new SystemError('EPROTO', { message: 'the simulated host makes no sense', cause });
  }
}
