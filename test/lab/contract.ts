/** What every lab promises, as tests: they run in a lab that has been booted, and one of them ends it. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { Test } from 'tap';
import { requireTool } from '../helpers/requires.js';
import { type Lab, NOBODY } from './lab.js';

const MIB = 2 ** 20;

export async function testLab(t: Test, lab: Lab): Promise<void> {
  await t.test('a command says what kernel it runs on', async (t) => {
    const { stdout } = await lab.run('uname -r');
    t.equal(stdout.toString(), `${lab.release}\n`);
  });

  await t.test('output, errors and status are those of the command', async (t) => {
    const finished = await lab.run(`printf 'out\\n\\n'; printf "it's err" >&2; exit 3`);
    t.strictSame(finished, { status: 3, stdout: Buffer.from('out\n\n'), stderr: "it's err" });
    t.equal((await lab.run('kill -9 $$')).status, 128 + 9, 'a signal gives 128 and its number');
    t.equal((await lab.run('read -r line')).status, 1, 'stdin is empty');
  });

  await t.test('output is binary clean, and files pass both ways', async (t) => {
    const bytes = randomBytes(MIB);
    writeFileSync(`${lab.directory}/sent`, bytes);
    const { stdout } = await lab.run(`tee "${lab.directory}/returned" <"${lab.directory}/sent"`);
    t.equal(digest(stdout), digest(bytes));
    t.equal(digest(readFileSync(`${lab.directory}/returned`)), digest(bytes));
  });

  await t.test('the built command runs, and keeps its files in the lab', async (t) => {
    const { status, stdout } = await lab.run('vmmctl --version; echo "$XDG_RUNTIME_DIR $HOME"');
    t.equal(status, 0);
    t.match(stdout.toString(), /^vmmctl\/\d+[^\n]*\n\/run\/lab\/\S+ \/run\/lab\/\S+\n$/);
    t.not((await lab.run('touch package.json')).status, 0, "the host's files are read-only");
  });

  await t.test('a listener and its client run side by side over AF_VSOCK', async (t) => {
    if (!requireTool(t, 'socat')) return;
    const listener = lab.start('socat -u -d -d VSOCK-LISTEN:1234 STDOUT');
    await listener.waitFor('listening on');
    t.equal((await lab.run('echo hello | socat -u STDIN VSOCK-CONNECT:1:1234')).status, 0);
    const { status, stdout } = await listener.exited;
    t.strictSame([status, stdout.toString()], [0, 'hello\n']);
  });

  await t.test('commands that are started together keep apart', async (t) => {
    const runs = ['a', 'b', 'c', 'd', 'e', 'f'].map((word) =>
      lab.run(`echo ${word}; exit ${word.charCodeAt(0)}`),
    );
    const seen = (await Promise.all(runs)).map(({ status, stdout }) => `${status} ${stdout}`);
    t.strictSame(seen, ['97 a\n', '98 b\n', '99 c\n', '100 d\n', '101 e\n', '102 f\n']);
  });

  await t.test('a command can run as a user without rights', async (t) => {
    const command = 'id -u; id -G; touch "$HOME/mine" && stat -c %u "$HOME/mine"; cat /etc/shadow';
    const { status, stdout, stderr } = await lab.run(command, { user: NOBODY });
    t.equal(stdout.toString(), `${NOBODY}\n`.repeat(3));
    t.equal(status, 1);
    t.match(stderr, /Permission denied/);
  });

  await t.test('a command that takes too long is killed with all that it started', async (t) => {
    const pidFile = `${lab.directory}/pid`;
    const run = lab.run(`sleep 600 & echo $! >${pidFile}; echo so far >&2; wait`, {
      timeoutMs: 1500,
    });
    await t.rejects(run, /killed after 1500 ms.*so far/);
    const gone = '! [ -e "/proc/$pid" ] || grep -q "^State:.Z" "/proc/$pid/status"';
    t.equal((await lab.run(`pid=$(cat ${pidFile}); ${gone}`)).status, 0);
  });

  await t.test('a command gets the signal that it is sent', async (t) => {
    const command = lab.start(
      'trap "echo interrupted; exit 7" INT; echo ready; while :; do :; done',
    );
    await command.waitForOutput('ready');
    await command.kill('SIGINT');
    const { status, stdout } = await command.exited;
    t.strictSame([status, stdout.toString()], [7, 'ready\ninterrupted\n']);
  });

  await t.test('to wait for words that never come ends with the command', async (t) => {
    const command = lab.start('echo something else >&2');
    await t.rejects(command.waitFor('listening'), /ended without saying listening: something else/);
  });

  await t.test('modules come and go', async (t) => {
    const loaded = async () => (await lab.run('cat /proc/modules')).stdout.toString();
    t.match(await loaded(), /^vsock_diag /m);
    await lab.unloadModule('vsock_diag');
    t.notMatch(await loaded(), /^vsock_diag /m);
    await lab.loadModule('vsock_diag');
    t.match(await loaded(), /^vsock_diag /m);
    await t.rejects(lab.loadModule('no_such_module'), /no_such_module/);
  });

  await t.test('the end of a lab leaves nothing behind', async (t) => {
    const left = lab.start('sleep 600');
    await left.pid;
    t.not(processesOf(lab.pid).length, 0);
    await lab.stop();
    t.strictSame(processesOf(lab.pid), []);
    t.notOk(existsSync(lab.directory));
    await t.rejects(left.exited, /ended while a command ran/);
    await lab.stop();
  });
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The processes of a group, without those that have ended and that nobody has asked for their status. */
export function processesOf(group: number): string[] {
  return readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      // After the name in brackets: state, parent, group.
      const [state, , of] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return Number(of) === group && state !== 'Z' && state !== 'X';
    } catch {
      return false;
    }
  });
}
