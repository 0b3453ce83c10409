/** The help topics that are about no command. */
import { STATUS_CODES } from './errors.js';

export interface Topic {
  summary: string;
  text: string;
}

const STATUS_MEANINGS: readonly [status: string, meaning: string][] = [
  ['0', 'done'],
  ['1', 'failed, for a reason with no number of its own'],
  ['2', 'wrong usage: unknown command, flag or value (EINVAL, found before anything was sent)'],
  ['3', 'no such VM, service, property, device path'],
  ['4', 'exists already, or is in use'],
  ['5', 'not permitted'],
  ['6', "the peer can't be reached: refused, reset, no route, timed out"],
  ['7', "the backend, node or feature isn't there"],
  ['125', 'create -- CMD: we failed before CMD was started'],
  ['126', "create -- CMD: CMD can't be run"],
  ['127', 'create -- CMD: CMD is not found'],
  ['128+N', 'ended by signal N: 130 for Ctrl-C, 141 when stdout closes'],
];

export const TOPICS: Readonly<Record<string, Topic>> = {
  'exit-codes': {
    summary: 'what the exit statuses mean',
    text: [
      'EXIT STATUSES',
      ...STATUS_MEANINGS.map(([status, meaning]) => {
        const codes = STATUS_CODES[Number(status)]?.join(', ');
        return `  ${status.padEnd(6)} ${meaning}${codes ? `\n         ${codes}` : ''}`;
      }),
      '',
      "'create ... -- CMD' and 'vsock listen --exec' (when one connection was asked for) end with the",
      "command's own status. An error is one line on stderr, 'vmmctl: CONTEXT: MESSAGE (CODE)', and a hint",
      'where something can be done; with --json it is {"error":{"code","message","hint","cause"}} on',
      "stderr, and stdout stays empty. 'cause' is the kernel's own errno, or the status of a device, where",
      'CODE says it by meaning.',
    ].join('\n'),
  },
  environment: {
    summary: 'variables and files that vmmctl reads',
    text: `ENVIRONMENT
  VMMCTL_BACKEND   the backend, where --backend is not given
  VMMCTL_IN        the VM in whose guest commands act, where --in is not given; commands without a
                   guest's view (create, list, ...) don't look at it, '--in host' overrides it
  VMMCTL_NO_FAST   any value: parse command lines the long way
  NO_COLOR         any value: no colour
  FORCE_COLOR, CLICOLOR_FORCE
                   colour also where it is no terminal
  TERM             dumb: no colour
  DEBUG            vmmctl:* traces every call to the backend on stderr
  XDG_CONFIG_HOME, XDG_RUNTIME_DIR, XDG_STATE_HOME
                   where the files below are
  VMMCTL_VM, VMMCTL_CID
                   set for the command of 'create --ephemeral -- CMD', and in the guest of 'boot'

FILES
  $XDG_CONFIG_HOME/vmmctl/config.json   settings, see 'vmmctl config list'
  $XDG_RUNTIME_DIR/vmmctl/HOST/         sockets of a simulated host (or /tmp/vmmctl-UID/HOST/)
  $XDG_STATE_HOME/vmmctl/HOST/          its VMs that stay, and its log

A flag goes before the environment, that before the configuration file, that before the default.`,
  },
  addresses: {
    summary: 'how VMs, CIDs and endpoints are written',
    text: `ADDRESSES
  A CID is a number, a VM's name, 'host' (2) or 'local' (1). An address is CID:PORT.

  web1:22          port 22 of the VM web1
  3:1024           port 1024 of CID 3
  host:5000        port 5000 of the host

HANDLES
  Of VMCI, CID:RID: a resource of a context. The CID is written as above, but for 'local'.

ENDPOINTS
  -                        standard input and output
  CID:PORT                 a connection over vsock
  vsock-listen:PORT        one connection to our port
  unix:PATH, unix-listen:PATH
  tcp:HOST:PORT, tcp-listen:[ADDR:]PORT
                           loopback unless ADDR is given
  exec:CMD                 a command's input and output
  file:PATH

  The name of a VM can't be all digits, 'host', 'local', 'any', '-', a word of an endpoint, or have a
  colon in it.`,
  },
  json: {
    summary: 'what --json prints',
    text: `JSON
  One document on stdout; of 'list --watch', 'balloon watch' and 'heartbeat watch' one a line, when
  something has changed. Fields are added, never changed. Numbers of 64 bits are decimal strings,
  times are ISO 8601 in UTC, sizes are bytes. What is not known is null.

  list             [VM, ...] sorted by name
  create           VM
  inspect          [VM and "topology", "cpuSets", "devices", "exports", "faults", "counters", ...]
  destroy          {"destroyed":[NAME, ...]}
  run              EXIT on a line for each; with --compare {"abis":[FORM,FORM],"exits":{FORM:[EXIT, ...]},
                   "differences":[{"exit","field","values":{FORM:VALUE}}, ...]}
  stats            [{"vm","vcpu","time","counters":{...}}, ...]
  suspend          {"paused":[NAME, ...]}, as resume {"resumed"}, reset {"reset"}, poweroff {"poweredOff"}
  boot --dry-run   {"env":{...},"program","args":[...]}
  host-version     {"product","version","revision","features":[...],"nodes":[{"path","version","detail"}]}
  doctor           {"backend","machine","kernel","usable","checks":[{"system","name","state","code",
                   "message","version","detail","facts":{...},"owner":{"mode","uid","gid","group"},
                   "commands":[...],"hint"}, ...]}
  balloon          [BALLOON, ...]
  balloon set      BALLOON
  heartbeat        [HEARTBEAT, ...]
  heartbeat set    HEARTBEAT
  vsock list       [{"type","state","local":ADDRESS,"peer":ADDRESS,"recvQueue","sendQueue","credit",
                   "bufAlloc","owner"}, ...]; ADDRESS is {"cid","port"}
  vsock ping       {"sent","open","minMs","averageMs","maxMs","trips":[{"sequence","answer","ms"}]}
  vsock perf       {"sent","received","ms","sentPerSecond","receivedPerSecond"}
  vsock capture    {"time","src":ADDRESS,"dst":ADDRESS,"op","type","len","flags","bufAlloc","fwdCnt"}
                   on a line for each packet; at the end {"captured","lost"} on stderr
  events wait      {"events":[NAME, ...],"mask"}
  events raise     {"vm","events":[NAME, ...],"mask"}
  guestprop get, guestprop set
                   PROPERTY
  guestprop unset  {"name","deleted"}
  guestprop list   [PROPERTY, ...] sorted by name
  guestprop wait   PROPERTY and "deleted"; with --count one document a line
  hgcm call        {"status","rc","parameters":[PARAMETER, ...]}
  vmci id          {"contextId"}
  vmci send        {"dst":HANDLE,"sent"}
  vmci receive     {"src":HANDLE,"dst":HANDLE,"size","base64","text"} on a line for each datagram
  vmci doorbell ring
                   {"rung":HANDLE}
  vmci doorbell wait
                   {"handle":HANDLE} on a line for each ring
  vmci queue create
                   {"handle":HANDLE} on stderr, when it is there
  vmci queue list  [{"handle":HANDLE,"state","creator","attacher","peer","flags":[FLAG, ...],"produceSize",
                   "consumeSize","produce":QUEUE,"consume":QUEUE}, ...]; QUEUE is {"tail","head","free",
                   "ready"}
  vmci events      {"event","contextId"} or {"event","handle":HANDLE,"peer"} on a line for each event
  sim status       {"host","running","pid","version","startedAt","socket","runtimeDirectory",
                   "stateDirectory","logFile","vms","sockets","clients","options","counters"}
  sim start, sim restart
                   the same and "started"
  sim stop         {"host","stopped"}
  sim export       {"vm","exports":[{"kind","paths":[PATH, ...]}, ...]}
  sim fault        {"vm","faults":[KIND, ...]}
  sim fault --list [{"kind","value","summary"}, ...]
  config get       {"key","value","origin"}
  config list      [{"key","value","origin"}, ...]

  VM is {"name","state","reason","cpus","memory","cid","lifetime","createdAt","labels"}; state is
  created, running, suspended or destroying, lifetime is persistent or ephemeral.
  EXIT is {"exit","vcpu","rip","instLength", ...}, with the names of the header.
  BALLOON is {"vm","memory","target","actual","unit","guestStats"}.
  HEARTBEAT is {"vm","enabled","intervalMs","timeoutMs","lastBeat","beats","misses","state"}; state is
  off, beating, late or flatlined.
  PROPERTY is {"name","value","timestamp","flags":[...]}; timestamp is in nanoseconds since 1970.
  HANDLE is the string CID:RID.
  PARAMETER is {"type","value"} of u32 and u64, {"type","size","base64","text"} of in, out and inout.

  Errors are on stderr: {"error":{"code","message","hint","cause"}}.`,
  },
};

/** The topics with their summaries, for the root's help. */
export function topicList(): string {
  const rows = Object.entries(TOPICS).map(
    ([name, { summary }]) => `  ${name.padEnd(13)} ${summary}\n`,
  );
  return `HELP TOPICS ('vmmctl help TOPIC')\n${rows.join('')}`;
}
