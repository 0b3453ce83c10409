/** The node that lets a program be a device for others, /dev/cuse of Linux. */
import { nodeProbe, type Probe } from './probe.js';

export const CUSE_PROBES: readonly Probe[] = [
  // Its protocol begins with the kernel's question, which needs no answer when the node is closed at once.
  nodeProbe('cuse', '/dev/cuse', async () => ({ detail: 'offers device nodes to programs' })),
];
