import t from 'tap';
import { VMMDEV_EVENT } from '../../src/core/abi/vmmdev.js';
import { eventNames, findEvent, VMMDEV_EVENTS } from '../../src/core/client/vmmdev-events.js';
import { FakeBackend } from '../cli/helpers/fake-backend.js';
import { runLine, WAYS } from '../cli/helpers/io.js';
import { recordedBackend } from '../cli/helpers/recorded-backend.js';
import type { RecordedCall } from '../helpers/tree-machine.js';

const line = (text: string) => text.split(' ').filter(Boolean);
const hex = (text: string) => text.replace(/\s/g, '');
const header = (sizeIn: string, sizeOut: string) =>
  `${sizeIn}000000 01000100 00000000 00000000 ${sizeOut}000000 00000000`;
const filtering = (mask: string): RecordedCall => ({
  request: 0xc020560c,
  argument: hex(`${header('20', '18')} ${mask} 00000000`),
  answer: hex(header('20', '18')),
});
const waiting = (timeout: string, mask: string): RecordedCall => ({
  request: 0xc020560a,
  argument: hex(`${header('20', '1c')} ${timeout} ${mask}`),
});
const came = (mask: string) => hex(`${header('20', '1c')} ${mask} 00000000`);

for (const way of WAYS) {
  t.test(`events wait asks for events and prints those that came (${way})`, async (t) => {
    const talk = () =>
      recordedBackend([
        filtering('bd050000'),
        { ...waiting('ffffffff', 'bd050000'), answer: came('14000000') },
      ]);
    const plain = talk();
    t.match(await runLine(line('--in web1 events wait'), { way, connect: plain.connect }), {
      status: 0,
      out: 'display-change-request\nrestored\n',
      err: '',
    });
    t.ok(plain.isDone());
    const json = await runLine(line('events wait --json --in web1'), {
      way,
      connect: talk().connect,
    });
    t.equal(json.out, '{"events":["display-change-request","restored"],"mask":20}\n');
  });

  t.test(`events wait looks at --mask and --timeout (${way})`, async (t) => {
    const talk = recordedBackend([
      filtering('04040000'),
      { ...waiting('f4010000', '04040000'), error: 'ETIMEDOUT' },
    ]);
    const ran = await runLine(
      line('--in web1 events wait --mask Display_Change_Request,cpu-hotplug --timeout 500ms'),
      { way, connect: talk.connect },
    );
    t.match(ran, {
      status: 6,
      out: '',
      err: 'vmmctl: events wait: no event came within 500ms (ETIMEDOUT)\n',
    });
    t.ok(talk.isDone());
  });

  t.test(`events raise raises all at once (${way})`, async (t) => {
    const backend = new FakeBackend().add('web1');
    const ran = await runLine(line('events raise web1 restored VMMDEV_EVENT_VRDP'), {
      way,
      backend,
    });
    t.match(ran, { status: 0, out: '', err: '' });
    t.same(backend.devices.raised, [0x110]);
    const json = await runLine(line('events raise web1 hgcm --json'), { way, backend });
    t.same(JSON.parse(json.out), { vm: 'web1', events: ['hgcm'], mask: 2 });
    const missing = await runLine(line('events raise web2 hgcm'), { way, backend });
    t.match(missing, { status: 3, err: /no VM 'web2' \(ENOENT\)\nhint: did you mean 'web1'\?/ });
  });

  t.test(`wrong words about events are found before anything is sent (${way})`, async (t) => {
    const wrong: [string, RegExp][] = [
      ['events wait', /none is named.*hint: name the VM with --in VM/s],
      ['events wait --in host', /none is named/],
      ['--in web1 events wait --mask displaychange', /--mask: there is no event 'displaychange'/],
      ['--in web1 events wait --mask restord', /did you mean 'restored'\?/],
      ['--in web1 events wait --mask ,', /no event is named/],
      ['events raise web1', /EVENT is missing/],
      ['events raise web1 restored nothing-like-it', /the events are mouse-capabilities-changed, /],
      ['--in web1 events raise web1 restored', /--in has no meaning here/],
    ];
    for (const [text, err] of wrong) {
      const ran = await runLine(line(text), { way });
      t.match(ran, { status: 2, out: '', err }, text);
      t.same(ran.backend.calls, [], text);
    }
  });
}

t.test('a guest without the device is said so', async (t) => {
  const ran = await runLine(line('--in web1 events wait'), {
    connect: recordedBackend([], '/dev/other').connect,
  });
  t.match(ran, { status: 7, err: /no device of VirtualBox's \(ENODEV, from ENOENT\)\nhint: / });
});

t.test('events that the driver keeps are warned of', async (t) => {
  const talk = () => [
    filtering('40000000'),
    { ...waiting('ffffffff', '40000000'), answer: came('40000000') },
  ];
  const text = line('--in web1 events wait --mask balloon-change-request');
  const ran = await runLine(text, { connect: recordedBackend(talk()).connect });
  t.match(ran, { status: 0, err: /takes balloon-change-request for itself/ });
  const quiet = await runLine([...text, '-q'], { connect: recordedBackend(talk()).connect });
  t.equal(quiet.err, '');
});

t.test('every event of the header has a name', async (t) => {
  t.equal(VMMDEV_EVENTS.length, Object.keys(VMMDEV_EVENT).length);
  for (const { name, mask } of VMMDEV_EVENTS) {
    t.match(name, /^[a-z]+(-[a-z]+)*$/);
    t.equal(findEvent(name.toUpperCase().replaceAll('-', '_'))?.mask, mask);
    t.same(eventNames(mask), [name]);
  }
  t.equal(findEvent('VMMDEV_EVENT_SEAMLESS_MODE_CHANGE_REQUEST')?.mask, 0x20);
  t.equal(findEvent(''), undefined);
  t.same(eventNames(0x80000801), ['mouse-capabilities-changed', '0x80000800']);
  t.same(eventNames(0), []);
});
