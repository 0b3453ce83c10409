/**
 * Puts the suite to a backend and prints each observation as a line of JSON: `node run.js URI [WORD]`. With a word, only
 * cases with it in their names. The device backend is asked as the user that runs it, a simulated host as both.
 *
 * Device backends are refused outside a lab: on another machine, CIDs lead to machines that are not ours.
 */
import { isSimulated, observe, type Who } from './suite.js';

const [uri = 'sim', only] = process.argv.slice(2);

if (!isSimulated(uri) && process.env.VMMCTL_LAB !== '1') {
  process.stderr.write(`run: ${uri} is only asked in a lab, where VMMCTL_LAB is 1\n`);
  process.exit(2);
}

for (const who of callers()) {
  await observe(uri, who, {
    only,
    onObservation: (observation) => process.stdout.write(`${JSON.stringify(observation)}\n`),
  });
}

function callers(): Who[] {
  if (isSimulated(uri)) return ['root', 'user'];
  return [process.getuid?.() === 0 ? 'root' : 'user'];
}
