/** The end of VMCI that a command acts as. */
import type { VmmctlCommand } from '../../cli/command.js';
import type { VmciEndpoint } from '../../core/client/vmci-endpoint.js';
import { openEndpoint } from '../../core/client/vmci-open.js';

type Command = Pick<VmmctlCommand, 'backend' | 'machine' | 'note' | 'verbose'> & {
  readonly flags: {
    readonly node: boolean;
    readonly context: number | undefined;
    readonly json: boolean;
    readonly verbose: boolean;
  };
};

/** It ends with the command. @throws SystemError as `openEndpoint`. */
export async function endOf(command: Command): Promise<VmciEndpoint> {
  const { node, context } = command.flags;
  const endpoint = await openEndpoint(await command.backend(), command.machine, { node, context });
  command.verbose(`context ${endpoint.contextId}`);
  return endpoint;
}

/** Says on stderr what is waited for, when it has begun. */
export function tellListening(command: Command, what: string): void {
  const { json, verbose } = command.flags;
  const text = `listening on ${what}`;
  if (json && verbose) command.verbose(text);
  else command.note(text);
}
