import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { runLine, WAYS, type Way } from '../cli/helpers/io.js';
import { recordedBackend } from '../cli/helpers/recorded-backend.js';
import type { RecordedCall } from '../helpers/tree-machine.js';

const line = (text: string) => text.split(' ').filter(Boolean);
const hex = (text: string) => text.replace(/\s/g, '');
const latin = (text: string) => Buffer.from(text, 'latin1').toString('hex');
const header = (sizeIn: string, sizeOut: string, rc = '00000000') =>
  `${sizeIn}000000 01000100 00000000 ${rc} ${sizeOut}000000 00000000`;

const CONNECTING: RecordedCall = {
  request: 0xc09c5604,
  argument: hex(`${header('9c', '1c')} 02000000 ${latin('Echo'.padEnd(128, '\0'))}`),
  answer: hex(`${header('9c', '1c')} 09000000`),
};
const DISCONNECTING: RecordedCall = {
  request: 0xc01c5605,
  argument: hex(`${header('1c', '18')} 09000000`),
  answer: hex(header('1c', '18')),
};
/** A call of function 1 with a u32, a u64, a string of three bytes and a buffer of eight. */
const body = (timeout: string, number: string) => `
  09000000 01000000 ${timeout} 01 00 0400
  01000000 ${number} 00000000 00000000
  02000000 ffffffffffffffff 00000000
  05000000 03000000 0000000000000000
  06000000 08000000 0000000000000000`;
const calling = (gets: string, { timeout = 'ffffffff', rc = '00000000' } = {}): RecordedCall => ({
  request: 0xc0685607,
  argument: hex(`${header('68', '68')} ${body(timeout, '10000000')}`),
  answer: hex(`${header('68', '68', rc)} ${body(timeout, '11000000')}`),
  memory: [
    { at: 80, has: latin('hi\0') },
    { at: 96, has: '0000000000000000', gets },
  ],
});
const CALL = '--in web1 hgcm call Echo 1 u32:0x10 u64:18446744073709551615 str:hi out:8';

async function run(way: Way, text: string, call: RecordedCall) {
  const talk = recordedBackend([CONNECTING, call, DISCONNECTING]);
  const ran = await runLine(line(text), { way, connect: talk.connect });
  t.ok(talk.isDone(), 'all was asked');
  return ran;
}

for (const way of WAYS) {
  t.test(`hgcm call shows the parameters as the call left them (${way})`, async (t) => {
    const text = await run(way, CALL, calling(latin('yo!\0\0\0\0\0')));
    t.match(text, { status: 0, err: '' });
    t.equal(
      text.out,
      [
        'TYPE  SIZE  VALUE',
        'u32      -  17',
        'u64      -  18446744073709551615',
        'in       3  hi',
        'out      8  yo!',
        '',
      ].join('\n'),
    );
    const bytes = await run(way, CALL, calling('ff00010000000000'));
    t.match(bytes.out, /^out +8 {2}ff00010000000000$/m);
    const quiet = await run(way, `${CALL} --quiet`, calling(latin('a\nb\0\0\0\0\0')));
    t.equal(quiet.out, '17\n18446744073709551615\na\\nb\n');
  });

  t.test(`hgcm call --json has numbers, base64 and text (${way})`, async (t) => {
    const ran = await run(way, `${CALL} --json`, calling('ff00010000000000', { rc: '4e000000' }));
    t.match(ran, { status: 0, err: '' });
    t.same(JSON.parse(ran.out), {
      status: 'VWRN_NOT_FOUND',
      rc: 78,
      parameters: [
        { type: 'u32', value: 17 },
        { type: 'u64', value: '18446744073709551615' },
        { type: 'in', size: 3, base64: 'aGkA', text: 'hi' },
        { type: 'out', size: 8, base64: '/wABAAAAAAA=', text: null },
      ],
    });
    const warning = await run(way, CALL, calling('', { rc: '4e000000' }));
    t.match(warning, { status: 0, err: "function 1 of 'Echo' ends with VWRN_NOT_FOUND\n" });
  });

  t.test(`a failure of the service is an exit status by its meaning (${way})`, async (t) => {
    const failing = async (rc: string, flags = '') => {
      const talk = recordedBackend([CONNECTING, calling(latin('yo!'), { rc })]);
      return runLine(line(`${CALL} ${flags}`), { way, connect: talk.connect });
    };
    t.match(await failing('b2ffffff'), {
      status: 3,
      out: '',
      err: "vmmctl: hgcm call: function 1 of 'Echo' failed (ENOENT, from VERR_NOT_FOUND)\n",
    });
    t.match(await failing('f6ffffff'), { status: 5 });
    t.match(await failing('f4ffffff'), { status: 7 });
    t.match(await failing('c7cfffff', '--json'), {
      status: 1,
      out: '',
      err: /"code":"EPROTO".*"cause":"rc -12345"/,
    });
    t.match(await failing('d7ffffff', '--verbose'), {
      err: /^calling .*\nu32 17\n.*\nout yo!\nvmmctl: /s,
    });
  });

  t.test(`--timeout is the driver's (${way})`, async (t) => {
    const call = { ...calling('', { timeout: 'e8030000' }), error: 'ETIMEDOUT' as const };
    const talk = recordedBackend([CONNECTING, call]);
    const ran = await runLine(line(`${CALL} --timeout 1s`), { way, connect: talk.connect });
    t.match(ran, { status: 6, err: /function 1 of 'Echo' did not end within 1s \(ETIMEDOUT\)/ });
    t.ok(talk.isDone());
  });

  t.test(`wrong usage of hgcm is found before anything is sent (${way})`, async (t) => {
    const wrong: [string, RegExp][] = [
      ['hgcm call Echo 1', /none is named/],
      ['--in web1 hgcm call Echo', /FUNCTION is missing/],
      ['--in web1 hgcm call Echo one', /FUNCTION: 'one' is not a whole number of 32 bits/],
      ['--in web1 hgcm call Echo 4294967296', /32 bits/],
      ['--in web1 hgcm call Echo 1 u32:4294967296', /PARM: '4294967296'/],
      ['--in web1 hgcm call Echo 1 u64:18446744073709551616', /64 bits/],
      ['--in web1 hgcm call Echo 1 u32:-2147483649', /'2147483649'/],
      ['--in web1 hgcm call Echo 1 u32:--1', /'-1'/],
      ['--in web1 hgcm call Echo -- -1', /FUNCTION: '-1'/],
      ['--in web1 hgcm call Echo 1 u32', /a parameter is u32:N/],
      ['--in web1 hgcm call Echo 1 u23:5', /did you mean 'u32:'\?/],
      ['--in web1 hgcm call Echo 1 out:25M', /a buffer has at most 24M/],
      [
        '--in web1 hgcm call Echo 1 out:16M out:16M',
        /the buffers have 32.0M together \(EINVAL\)\nhint: a call to a simulated host has at most 31M/,
      ],
      [
        `--in web1 hgcm call ${'é'.repeat(64)} 1`,
        /SERVICE: a name of 128 bytes \(EINVAL\)\nhint: a service's has 127 at most/,
      ],
      ['--in web1 hgcm call Echo 1 out:x', /'x' is not a size/],
      ['--in web1 hgcm call Echo 1 in:- inout:-', /stdin can be read for one parameter/],
    ];
    for (const [text, err] of wrong) {
      const ran = await runLine(line(text), { way });
      t.match(ran, { status: 2, out: '', err }, text);
      t.same(ran.backend.calls, [], text);
    }
  });
}

t.test('buffers come from files too', async (t) => {
  const path = join(t.testdir(), 'data');
  writeFileSync(path, Buffer.from([0, 255, 10]));
  const call = hex(`${header('38', '38')} 09000000 02000000 ffffffff 01 00 0100
    05000000 03000000 0000000000000000`);
  const memory = [{ at: 48, has: '00ff0a' }];
  const { connect, isDone } = recordedBackend([
    CONNECTING,
    { request: 0xc0385607, argument: call, answer: call, memory },
    DISCONNECTING,
  ]);
  const ran = await runLine(line(`--in web1 hgcm call Echo 2 in:@${path}`), { connect });
  t.match(ran, { status: 0, out: /^in +3 {2}00ff0a$/m });
  t.ok(isDone());
  const missing = await runLine(line(`--in web1 hgcm call Echo 2 in:@${path}x`), {
    connect: recordedBackend([]).connect,
  });
  t.match(missing, { status: 3, err: /datax/ });
});

t.test('numbers may be negative', async (t) => {
  const call = hex(`${header('48', '48')} 09000000 03000000 ffffffff 01 00 0200
    01000000 b2ffffff 00000000 00000000 02000000 feffffffffffffff 00000000`);
  const { connect, isDone } = recordedBackend([
    CONNECTING,
    { request: 0xc0485607, argument: call, answer: call },
    DISCONNECTING,
  ]);
  const ran = await runLine(line('--in web1 hgcm call Echo 3 u32:-78 u64:-2'), { connect });
  t.match(ran, { status: 0, out: /^u32 +- {2}4294967218\nu64 +- {2}18446744073709551614$/m });
  t.ok(isDone());
});
