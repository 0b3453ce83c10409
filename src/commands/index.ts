/** The table of all commands: id to module. Each is loaded when it is run; words of an id are joined by `:`. */
import type { CommandClass } from '../cli/command.js';

export const loaders: Readonly<Record<string, () => Promise<{ default: unknown }>>> = {
  create: () => import('./create.js'),
  destroy: () => import('./destroy.js'),
  list: () => import('./list.js'),
  inspect: () => import('./inspect.js'),
  run: () => import('./run.js'),
  stats: () => import('./stats.js'),
  suspend: () => import('./suspend.js'),
  resume: () => import('./resume.js'),
  reset: () => import('./reset.js'),
  poweroff: () => import('./poweroff.js'),
  boot: () => import('./boot.js'),
  'host-version': () => import('./host-version.js'),
  doctor: () => import('./doctor.js'),

  balloon: () => import('./balloon/show.js'),
  'balloon:set': () => import('./balloon/set.js'),
  'balloon:watch': () => import('./balloon/watch.js'),
  heartbeat: () => import('./heartbeat/show.js'),
  'heartbeat:set': () => import('./heartbeat/set.js'),
  'heartbeat:watch': () => import('./heartbeat/watch.js'),

  'vsock:connect': () => import('./vsock/connect.js'),
  'vsock:listen': () => import('./vsock/listen.js'),
  'vsock:cat': () => import('./vsock/cat.js'),
  'vsock:list': () => import('./vsock/list.js'),
  'vsock:ping': () => import('./vsock/ping.js'),
  'vsock:perf': () => import('./vsock/perf.js'),
  'vsock:capture': () => import('./vsock/capture.js'),

  'events:wait': () => import('./events/wait.js'),
  'events:raise': () => import('./events/raise.js'),
  'guestprop:get': () => import('./guestprop/get.js'),
  'guestprop:set': () => import('./guestprop/set.js'),
  'guestprop:unset': () => import('./guestprop/unset.js'),
  'guestprop:list': () => import('./guestprop/list.js'),
  'guestprop:wait': () => import('./guestprop/wait.js'),
  'hgcm:call': () => import('./hgcm/call.js'),

  'vmci:id': () => import('./vmci/id.js'),
  'vmci:send': () => import('./vmci/send.js'),
  'vmci:receive': () => import('./vmci/receive.js'),
  'vmci:doorbell:ring': () => import('./vmci/doorbell/ring.js'),
  'vmci:doorbell:wait': () => import('./vmci/doorbell/wait.js'),
  'vmci:events': () => import('./vmci/events.js'),
  'vmci:queue:create': () => import('./vmci/queue/create.js'),
  'vmci:queue:attach': () => import('./vmci/queue/attach.js'),
  'vmci:queue:list': () => import('./vmci/queue/list.js'),

  'sim:start': () => import('./sim/start.js'),
  'sim:stop': () => import('./sim/stop.js'),
  'sim:restart': () => import('./sim/restart.js'),
  'sim:status': () => import('./sim/status.js'),
  'sim:log': () => import('./sim/log.js'),
  'sim:fault': () => import('./sim/fault.js'),
  'sim:export': () => import('./sim/export.js'),
  'config:get': () => import('./config/get.js'),
  'config:set': () => import('./config/set.js'),
  'config:list': () => import('./config/list.js'),
  completion: () => import('./completion.js'),
  help: () => import('./help.js'),
  __complete: () => import('./complete.js'),
};

/** Commands that people don't type. */
export const HIDDEN: readonly string[] = ['__complete'];

export type { CommandClass };
