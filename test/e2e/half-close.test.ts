import t from 'tap';
import { isAlive, random, simulatedHost } from '../helpers/host.js';

const MIB = 2 ** 20;

t.test('the end of input is passed on, and the answer still comes', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const serve = async (port: string, command: string) => {
    const args = ['--in', 'web1', 'vsock', 'listen', port, '--keep-open', '--exec', command];
    const listen = host.start(args);
    await listen.waitFor('listening');
    return listen;
  };
  const connect = (port: string, input: string | Buffer) =>
    host.run(['vsock', 'connect', 'web1', port], { input });

  await t.test('a service that answers at the end of input', async (t) => {
    await serve('7000', 'wc -c');
    const { status, stdout } = await connect('7000', 'x');
    t.equal(status, 0);
    t.equal(stdout.toString().trim(), '1');
  });

  await t.test('a service that answers late, and in pieces', async (t) => {
    await serve('7001', 'cat > seen; sleep 0.2; echo one; sleep 0.1; echo two; cat seen');
    const { status, stdout } = await connect('7001', 'three\n');
    t.equal(status, 0);
    t.equal(stdout.toString(), 'one\ntwo\nthree\n');
  });

  await t.test('an echo of 20 MiB, with both directions busy', async (t) => {
    await serve('7002', 'cat');
    const data = random(20 * MIB);
    const { status, stdout } = await connect('7002', data);
    t.equal(status, 0);
    t.ok(stdout.equals(data));
  });

  await t.test('many of them at once', async (t) => {
    const sizes = Array.from({ length: 8 }, (_, i) => i * 100_003);
    const data = sizes.map((size) => random(size));
    const answers = await Promise.all(data.map((each) => connect('7002', each)));
    answers.forEach(({ status, stdout }, i) => {
      t.equal(status, 0);
      t.ok(stdout.equals(data[i] as Buffer), `${sizes[i]} bytes`);
    });
  });

  await t.test('a service that reads nothing and says much', async (t) => {
    await serve('7003', 'head -c 3000000 /dev/zero');
    const { status, stdout } = await connect('7003', '');
    t.equal(status, 0);
    t.equal(stdout.length, 3_000_000);
  });

  await t.test('stdin that stays open does not keep it when the peer has closed', async (t) => {
    await serve('7004', 'echo bye');
    const held = host.start(['vsock', 'connect', 'web1', '7004'], { openStdin: true });
    const { status, stdout } = await held.ended;
    t.equal(status, 0);
    t.equal(stdout.toString(), 'bye\n');
  });

  await t.test('the reader of stdout sees the end before stdin ends', async (t) => {
    const listen = host.start(['--in', 'web1', 'vsock', 'listen', '7005'], { input: 'question' });
    await listen.waitFor('listening');
    // The answer is made when the question is complete, and goes back by the same connection.
    const line =
      `coproc vmmctl vsock connect web1 7005; in=\${COPROC[0]} out=\${COPROC[1]}; ` +
      'question=$(cat <&"$in"); echo "to $question" >&"$out"; exec {out}>&-; wait';
    t.equal((await host.shell(line).ended).status, 0);
    t.equal((await listen.ended).stdout.toString(), 'to question\n');
  });

  await t.test('a program that is left alone learns it when it writes', async (t) => {
    const script = 'echo $$ > pid; echo ready; exec yes';
    await serve('7006', script);
    const line = 'vmmctl vsock connect web1 7006 | head -n 1';
    t.match(await host.shell(line).ended, { stdout: Buffer.from('ready\n'), stderr: '' });
    const { stdout } = await host.shell('cat pid').ended;
    const pid = Number(stdout.toString());
    await host.until(['vsock', 'list'], () => !isAlive(pid));
    t.ok(pid > 0);
  });
});
