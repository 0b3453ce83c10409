/** Commands of a test on VMs of KVM. */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { type Host, type RunOptions, simulatedHost } from './host.js';
import { IMAGES } from './kvm.js';

interface Inspected {
  state: string;
  devices: { description: string }[];
  counters: Record<string, number>;
  capabilities: Record<string, number>;
}

/** A host whose backend is this machine; its VMs end with the test. */
export async function kvmHost(t: Test) {
  const host = await simulatedHost(t);
  Object.assign(host.env, { VMMCTL_BACKEND: 'device' });
  for (const [name, image] of Object.entries(IMAGES)) writeFileSync(host.path(name), image);
  const sockets = join(host.directory, 'r', 'vmmctl', '.kvm');
  t.teardown(async () => {
    await host.run(['destroy', '--all']);
  });
  return {
    host,
    sockets: () => (existsSync(sockets) ? readdirSync(sockets) : []),
    /** The process that holds a VM. */
    async holder(name: string): Promise<number> {
      const [vm] = await host.json<Inspected[]>(['inspect', name]);
      return Number(/process (\d+)/.exec(vm?.devices[0]?.description ?? '')?.[1]);
    },
  };
}

/** What `run` says of each exit. */
export async function exits(host: Host, args: readonly string[], options?: RunOptions) {
  const { status, stdout, stderr } = await host.run(['run', ...args, '--json'], options);
  const lines = stdout.toString().split('\n').filter(Boolean);
  return { status, stderr, exits: lines.map((line) => JSON.parse(line)) };
}

/** The flags for one of the images. */
export const runsAs = (name: string, at = '0x1000') => ['--image', name, '--at', at];

/** Waits until the one VM that there is is in a state. */
export async function untilState(host: Host, state: string): Promise<void> {
  await host.until(['list', '--format', '{{.state}}'], ({ stdout }) => {
    return stdout.toString() === `${state}\n`;
  });
}
