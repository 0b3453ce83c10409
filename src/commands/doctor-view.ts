/** How `doctor` shows what it found: one row a check, what it is good for, and what would help. */
import { UsageError } from '../cli/errors.js';
import type { Painter } from '../cli/paint.js';
import { didYouMean } from '../cli/suggest.js';
import { escapeControls } from '../cli/view/escape.js';
import type { Examined } from '../core/client/examine.js';
import { PROBES } from '../core/client/host.js';
import { PROBED_SYSTEMS, type ProbedSystem, type ProbeState } from '../core/client/probe.js';

/** What is checked of vmmctl itself. */
const OWN_NAMES = ['node', 'koffi', 'runtime', 'sim'] as const;

/** The systems in their order, each with what its name does not say. */
const SYSTEMS: Readonly<Record<ProbedSystem | 'vmmctl', string>> = {
  vsock: '',
  vhost: 'the host of virtio guests',
  kvm: '',
  bhyve: '',
  virtualbox: 'as a guest',
  vmci: '',
  balloon: 'the memory of this guest',
  cuse: 'devices that are programs',
  vmmctl: 'what it needs itself',
};

/** The commands that need it, those included that a later version has. */
const USES: Readonly<Record<string, readonly string[]>> = {
  '/dev/vsock': ['host-version'],
  AF_VSOCK: ['vsock connect', 'vsock listen', 'vsock cat', 'vsock ping', 'vsock list'],
  vsockmon: ['vsock capture'],
  '/dev/vhost-vsock': ['boot'],
  '/dev/kvm': ['create', 'destroy', 'list', 'inspect', 'run', 'stats', 'boot'],
  '/dev/vmmctl': ['create', 'destroy'],
  '/dev/vmm': ['list', 'inspect', 'run', 'stats', 'suspend', 'resume', 'reset', 'poweroff'],
  'hw.vmm': ['host-version'],
  '/dev/vboxguest': ['balloon', 'events', 'guestprop', 'hgcm'],
  '/dev/vboxuser': ['balloon', 'events', 'guestprop', 'hgcm'],
  host_version: ['host-version'],
  '/dev/vmci': ['vmci'],
  virtio_balloon: ['balloon'],
  '/dev/cuse': ['sim export'],
};

/** What `doctor --json` prints of each. */
export interface Check extends Omit<Examined, 'system' | 'owner'> {
  system: ProbedSystem | 'vmmctl';
  owner: { mode: string; uid: number; gid: number; group: string } | null;
  /** What needs it. */
  commands: string[];
}

/** @param commands The ids of the commands that there are. */
export function checkOf(examined: Examined, commands: readonly string[]): Check {
  const { owner, hint, ...finding } = examined;
  const exists = (words: string) => {
    const id = words.replaceAll(' ', ':');
    return commands.some((each) => each === id || each.startsWith(`${id}:`));
  };
  return {
    ...finding,
    owner: owner && { ...owner, mode: formatMode(owner.mode) },
    commands: (USES[finding.name] ?? []).filter(exists),
    hint,
  };
}

function formatMode(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}

/** @throws UsageError for what is neither a heading nor a row. */
export function checkName(text: string): string {
  const names = [...PROBES.map(({ name }) => name), ...OWN_NAMES, ...PROBED_SYSTEMS, 'vmmctl'];
  if (names.includes(text)) return text;
  const list = `there are ${names.join(', ')}`;
  throw new UsageError(`nothing is known of '${text}'`, didYouMean(text, names, list));
}

/** Where the text of a row begins. */
interface Widths {
  name: number;
  state: number;
}

export function doctorPage(checks: readonly Check[], paint: Painter): string {
  const widths = {
    name: Math.max(0, ...checks.map(({ name }) => name.length)),
    state: Math.max(0, ...checks.map(({ state }) => state.length)),
  };
  const sections = Object.entries(SYSTEMS).map(([system, gloss]) => {
    const rows = checks.filter((check) => check.system === system);
    if (rows.length === 0) return '';
    const heading = paint.bold(system) + (gloss === '' ? '' : `: ${gloss}`);
    return `${heading}\n${rows.map((row) => rowOf(row, widths, paint)).join('')}`;
  });
  return sections.filter((section) => section !== '').join('\n');
}

function rowOf(check: Check, widths: Widths, paint: Painter): string {
  const [first = '', ...others] = textsOf(check).map(escapeControls);
  const name = escapeControls(check.name).padEnd(widths.name);
  const state = paintState(check.state, check.state.padEnd(widths.state), paint);
  const indent = ' '.repeat(2 + widths.name + 2 + widths.state + 2);
  const lines = others.map((text) => `${indent}${text}\n`);
  return `  ${name}  ${state}  ${first}`.trimEnd().concat('\n', ...lines);
}

function textsOf(check: Check): string[] {
  const { state, detail, message, code, commands, hint } = check;
  if (state === 'ok') {
    const uses = commands.length === 0 ? [] : [`for ${commands.join(', ')}`];
    return [detail ?? '', ...uses];
  }
  // That nothing is there is said; what is of use is how to get it.
  if (code === 'ENOENT' && hint !== null) return [hint];
  const why = code === null ? (message ?? '') : `${message} (${code})`;
  return [`${why}${ownerText(check)}`, ...(hint === null ? [] : [hint])];
}

function ownerText({ state, owner }: Check): string {
  if (state !== 'denied' || owner === null) return '';
  return `, mode ${owner.mode}, user ${owner.uid}, group ${owner.group}`;
}

function paintState(state: ProbeState, text: string, paint: Painter): string {
  if (state === 'ok') return paint.green(text);
  if (state === 'missing') return paint.dim(text);
  return state === 'failed' ? paint.red(text) : paint.yellow(text);
}
