/** What the commands of queue pairs share. */
import type { VmmctlCommand } from '../../../cli/command.js';
import { CodeError } from '../../../cli/errors.js';
import { renderJson } from '../../../cli/view/json.js';
import { handleText } from '../../../core/abi/vmci.js';
import type { VmciKernel } from '../../../core/backend/port/vmci.js';
import type { QueueStream } from '../../../core/client/vmci-queue.js';
import { stdioEnd } from '../../../core/relay/end.js';
import { queueEnd } from '../../../core/relay/queue-end.js';
import { relay } from '../../../core/relay/relay.js';
import { blameOutput } from '../../vsock/output.js';

/** @throws CodeError EOPNOTSUPP where the backend does not let its caller be a machine's kernel. */
export async function kernelOf(command: VmmctlCommand): Promise<VmciKernel> {
  const machine = (await command.backend()).machine(command.machine);
  if (machine.vmci !== undefined) return machine.vmci();
  throw new CodeError(
    'EOPNOTSUPP',
    'a queue pair is between kernels, and /dev/vmci gives a program none with another program',
    'use the simulated host: --backend sim',
  );
}

/** Says on stderr which pair it is, in whatever form is asked for: nobody could attach without that. */
export function tellHandle({ flags, io }: VmmctlCommand, stream: QueueStream): void {
  const handle = handleText(stream.handle);
  const forms = [
    [flags.json, renderJson({ handle }, false)],
    [flags.quiet, `${handle}\n`],
    [true, `listening on ${handle}\n`],
  ] as const;
  io.stderr.write(forms.find(([wanted]) => wanted)?.[1] ?? '');
}

/** Joins stdin and stdout to the pair until both directions are over, and lets go of it. */
export async function joinStdio(command: VmmctlCommand, stream: QueueStream): Promise<void> {
  try {
    await command.within((signal) => stream.attached({ signal }));
    command.verbose(`attached to ${handleText(stream.handle)}`);
    const own = stdioEnd(() => command.io.stdin);
    const { sent, received } = await relay(own, queueEnd(stream), { signal: command.signal }).catch(
      (error) => blameOutput(command.io, error),
    );
    command.verbose(`${sent} bytes sent, ${received} received`);
  } finally {
    // What was said last is with the host before the connection to it closes.
    await stream.detach();
  }
}
