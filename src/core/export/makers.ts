/** How each kind of export is made. */
import { exportCuse, exportHostCuse } from './cuse/index.js';
import type { ExportMakers } from './offered.js';
import { exportBalloon } from './vhost-user/balloon-export.js';
import { exportVsock } from './vhost-user/vsock-export.js';

export const EXPORT_MAKERS: ExportMakers = {
  vm: {
    'vhost-user-vsock': exportVsock,
    'vhost-user-balloon': exportBalloon,
    cuse: exportCuse,
  },
  host: { cuse: exportHostCuse },
};
