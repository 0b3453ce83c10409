/** Whose side of a VM's guest properties a command is on: the host's, or the guest's. */
import type { VmmctlCommand } from '../../cli/command.js';
import { UsageError } from '../../cli/errors.js';
import { option } from '../../cli/flags.js';
import { SystemError } from '../../core/abi/errno.js';
import { guestProperties } from '../../core/client/guest-prop-service.js';
import {
  type GuestProperties,
  hostProperties,
  propertyNameProblem,
} from '../../core/client/guest-properties.js';
import { guestNode, isInGuest } from '../guest-side.js';
import { vmName, withNearNames } from '../vm-name.js';

export const SIDE_FLAGS = {
  vm: option({
    summary: "that VM's properties, as its host sees them",
    helpValue: 'VM',
    convert: vmName,
  }),
} as const;

type Command = Pick<VmmctlCommand, 'machine' | 'backendUri' | 'backend'> & {
  readonly flags: { readonly vm: string | undefined; readonly in: string | undefined };
};

/** @throws UsageError when both sides are named, or none. */
export async function propertiesOf(command: Command): Promise<GuestProperties> {
  const { vm, in: guest } = command.flags;
  if (vm !== undefined && guest !== undefined && guest !== 'host') {
    throw new UsageError(
      '--vm and --in are two sides of one thing',
      "--vm is the host's side, --in the guest's: give one of them",
    );
  }
  if (vm !== undefined) return hostSide(command, vm);
  if (isInGuest(command)) return guestProperties(await guestNode(command));
  throw new UsageError(
    'no VM is named',
    "name it with --vm VM for the host's side, or with --in VM for its guest's",
  );
}

async function hostSide(command: Command, vm: string): Promise<GuestProperties> {
  const backend = await command.backend();
  if (backend.management === undefined) {
    throw new SystemError('EOPNOTSUPP', {
      message: `'${backend.uri}' does not show the properties of its VMs`,
    });
  }
  return hostProperties(backend.management, vm).catch(async (error) => {
    throw await withNearNames(error, backend, vm);
  });
}

/** The name of a property. @throws UsageError */
export function propertyName(text: string): string {
  const problem = propertyNameProblem(text);
  if (problem !== undefined) throw new UsageError(problem);
  return text;
}
