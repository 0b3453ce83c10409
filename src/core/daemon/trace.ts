/** Packets as lines of text, for those who watch. */
import { decodeHeader, describePacket } from '../abi/virtio-vsock.js';

export function describePacketBytes(header: Uint8Array, _payload: Uint8Array): string {
  return describePacket(decodeHeader(header));
}
