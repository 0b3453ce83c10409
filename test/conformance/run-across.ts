/** Puts the suite to a VM and its host: `node run-across.js URI VM servers|clients [WORD]`, where the host's sockets are. */
import { connectBackend } from '../../src/core/backend/connect.js';
import { across } from './across.js';
import { ACROSS_CASES, isSimulated } from './suite.js';

const [uri = 'sim', vm = '', role = 'servers', only = ''] = process.argv.slice(2);

if (!isSimulated(uri)) {
  process.stderr.write(`run-across: only a simulated host has VMs of whose sockets we dispose\n`);
  process.exit(2);
}

const backend = await connectBackend(uri, {});
const [host, guest] = [backend.machine('host'), backend.machine({ vm })];
const machine =
  role === 'servers'
    ? across({ servers: host, cid: await host.localCid(), clients: guest })
    : across({ servers: guest, cid: await guest.localCid(), clients: host });
for (const { name, run } of ACROSS_CASES) {
  if (!name.includes(only)) continue;
  const observation = { name, observation: await run(machine) };
  process.stdout.write(`${JSON.stringify(observation)}\n`);
}
await backend.close();
