/** How datagrams are shown. */
import { handleText, isInvalidHandle } from '../../core/abi/vmci.js';
import type { VmciDatagram } from '../../core/backend/port/vmci.js';

/** The payload in base64, and as text where it is such. A datagram that can't be answered has no source. */
export function datagramJson({ dst, src, payload }: VmciDatagram): Record<string, unknown> {
  return {
    src: isInvalidHandle(src) ? null : handleText(src),
    dst: handleText(dst),
    size: payload.length,
    base64: Buffer.from(payload).toString('base64'),
    text: textOf(payload),
  };
}

function textOf(payload: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(payload);
  } catch {
    return null;
  }
}
