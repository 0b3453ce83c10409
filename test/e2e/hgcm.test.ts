import t from 'tap';
import { simulatedHost } from '../helpers/host.js';

interface Called {
  status: string;
  rc: number;
  parameters: { type: string; value?: number | string; text?: string | null; base64?: string }[];
}

t.test('a guest calls services of its host', async (t) => {
  const host = await simulatedHost(t);
  await host.run(['create', 'web1']);
  const call = (...words: string[]) => ['--in', 'web1', 'hgcm', 'call', ...words];
  const echo = (...words: string[]) => call('VmmctlEcho', ...words);

  await t.test('numbers and bytes go there and back', async (t) => {
    const { parameters, ...rest } = await host.json<Called>(
      echo('1', 'u32:7', 'u64:-1', 'str:hello', 'u32:0', 'u64:0', 'out:8'),
    );
    t.same(rest, { status: 'VINF_SUCCESS', rc: 0 });
    t.match(parameters.slice(3), [
      { type: 'u32', value: 7 },
      { type: 'u64', value: '18446744073709551615' },
      { type: 'out', size: 8, text: 'hello' },
    ]);
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251));
    const large = await host.run([...echo('1', 'in:-', 'out:300000'), '--json'], { input: bytes });
    const { parameters: back } = JSON.parse(large.stdout.toString()) as Called;
    t.ok(Buffer.from(back[1]?.base64 ?? '', 'base64').equals(bytes), '300 KB are the same');
    t.equal((await host.run(echo('1', 'in:', 'out:0'))).status, 0, 'and nothing at all');
    const most = await host.run(echo('1', 'out:7M', 'out:24M'));
    t.match(most, { status: 0, stderr: '' }, 'and all that a call may have');
    const over = await host.shell('vmmctl --in web1 hgcm call VmmctlEcho 1 in:- < /dev/zero').ended;
    t.match(over, { status: 2, stderr: /a buffer has at most 24M \(EINVAL\)/ });
  });

  await t.test('a property can be read by hand', async (t) => {
    await host.run(['guestprop', 'set', '--vm', 'web1', '/x', 'five']);
    const { parameters } = await host.json<Called>(
      call('VBoxGuestPropSvc', '1', 'str:/x', 'out:64', 'u64:0', 'u32:0'),
    );
    t.equal(parameters[1]?.text, 'five');
    t.equal(parameters[3]?.value, 6, 'bytes needed: value and flags, each with its NUL');
    const small = await host.run([
      ...call('VBoxGuestPropSvc', '1', 'str:/x', 'out:2', 'u64:0', 'u32:0'),
      '--verbose',
    ]);
    t.match(small, { status: 1, stderr: /^u32 6$/m });
    t.match(small.stderr, /failed \(ERANGE, from VERR_BUFFER_OVERFLOW\)/);
  });

  await t.test('failures are statuses by their meaning', async (t) => {
    const failures: [string, number, string][] = [
      ['u32:-78', 3, 'VERR_NOT_FOUND'],
      ['u32:-38', 5, 'VERR_ACCESS_DENIED'],
      ['u32:-37', 7, 'VERR_NOT_SUPPORTED'],
      ['u32:-40', 6, 'VERR_TIMEOUT'],
      ['u32:-105', 4, 'VERR_ALREADY_EXISTS'],
      ['u32:-99999', 1, 'rc -99999'],
    ];
    for (const [word, status, name] of failures) {
      const ran = await host.run([...echo('3', word), '--json']);
      t.match(ran, { status, stdout: Buffer.alloc(0) }, name);
      t.equal(JSON.parse(ran.stderr).error.cause, name);
    }
    const warned = await host.run(echo('3', 'u32:78'));
    t.match(warned, { status: 0, stderr: /ends with VWRN_NOT_FOUND/ });
    t.match(await host.run(echo('99')), { status: 7, stderr: /VERR_NOT_IMPLEMENTED/ });
  });

  await t.test('services and VMs that there are not, and too many parameters', async (t) => {
    t.match(await host.run(call('Nobody', '1')), {
      status: 3,
      stderr: /no host service 'Nobody' \(ENOENT, from VERR_HGCM_SERVICE_NOT_FOUND\)/,
    });
    t.match(await host.run(['--in', 'web2', 'hgcm', 'call', 'Nobody', '1']), { status: 3 });
    const many = Array.from({ length: 33 }, () => 'u32:0');
    t.match(await host.run(echo('1', ...many)), { status: 1, stderr: /\(E2BIG\)/ });
    t.match(await host.run(echo('1', ...many.slice(0, 32))), { status: 0 });
  });

  await t.test('a call takes its time, and ends in time', async (t) => {
    t.match(await host.run(echo('2', 'u32:50')), { status: 0 });
    const late = await host.run([...echo('2', 'u32:60000'), '--timeout', '100ms']);
    t.match(late, { status: 6, stderr: /did not end within 100ms \(ETIMEDOUT\)/ });
    t.match(await host.run([...echo('2', 'u32:10'), '--timeout', '30s']), { status: 0 });
    const never = await host.run([...echo('4'), '--timeout', '100ms']);
    t.match(never, { status: 6, stderr: /\(ETIMEDOUT\)/ });
  });

  await t.test('a signal cancels a call that never ends', async (t) => {
    const hanging = host.start([...echo('4'), '--verbose']);
    await hanging.waitFor('calling');
    hanging.kill('SIGINT');
    const ended = await hanging.ended;
    t.equal(ended.signal, 'SIGINT');
    t.notMatch(ended.stderr, /\(E[A-Z]+\)/);
    t.match(await host.run(echo('1', 'u32:1', 'u32:0')), { status: 0 }, 'and the next one works');
  });
});
