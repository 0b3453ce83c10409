/** VBoxGuestPropSvc: reading, writing, enumerating, and who may do what. */
import t from 'tap';
import { GUEST_PROP_F, GUEST_PROP_FN } from '../../../../../src/core/abi/guest-prop.js';
import { VBOX_STATUS } from '../../../../../src/core/abi/vbox-err.js';
import { GuestPropertyService } from '../../../../../src/core/simulator/vbox/services/guest-properties.js';
import type { GuestProperty } from '../../../../../src/core/simulator/vbox/services/property-store.js';
import { buffer, bytesIn, numberIn, PropertyLab, room, str, textsIn, u32, u64 } from './guest.js';

const {
  GUEST_PROP_FN_GET_PROP: GET,
  GUEST_PROP_FN_SET_PROP: SET,
  GUEST_PROP_FN_SET_PROP_VALUE: SET_VALUE,
  GUEST_PROP_FN_DEL_PROP: DEL,
  GUEST_PROP_FN_ENUM_PROPS: ENUM,
  GUEST_PROP_FN_GET_NOTIFICATION: GET_NOTIFICATION,
} = GUEST_PROP_FN;
const {
  VERR_INVALID_PARAMETER,
  VERR_NOT_FOUND,
  VERR_BUFFER_OVERFLOW,
  VERR_TOO_MUCH_DATA,
  VERR_PARSE_ERROR,
  VERR_PERMISSION_DENIED,
  VINF_PERMISSION_DENIED,
  VERR_NOT_IMPLEMENTED,
} = VBOX_STATUS;

function property(found: GuestProperty | number): GuestProperty {
  if (typeof found === 'number') throw new Error(`status ${found}`);
  return found;
}

t.test('function 1 GET gives value NUL flags NUL, the timestamp and the size', async (t) => {
  const lab = new PropertyLab();
  t.equal(lab.set('name', 'value', 'transient'), 0);
  const call = lab.call(GET, str('name'), room(100), u64(), u32());
  t.equal(call.status, 0);
  t.same(textsIn(call.parameters[1], 16), ['value', 'TRANSIENT']);
  t.equal(numberIn(call.parameters[2]), property(lab.service.get('name')).timestamp);
  t.equal(numberIn(call.parameters[3]), 16);
});

t.test('function 1 GET of a missing name is -78', async (t) => {
  t.equal(new PropertyLab().get('missing'), VERR_NOT_FOUND);
});

t.test(
  'function 1 GET into a small buffer is -41 with the needed size, and writes nothing',
  async (t) => {
    const lab = new PropertyLab();
    lab.set('name', 'value');
    const call = lab.call(GET, str('name'), room(6), u64(7n), u32());
    t.equal(call.status, VERR_BUFFER_OVERFLOW);
    t.equal(numberIn(call.parameters[3]), 7);
    t.equal(numberIn(call.parameters[2]), 7n);
    t.same(bytesIn(call.parameters[1]), new Uint8Array(6));
    t.same(lab.get('name', 7), ['value', ''], 'a buffer that just fits');
  },
);

t.test('an out that is no number stays as it is, and the call succeeds', async (t) => {
  const lab = new PropertyLab();
  lab.set('name', 'value');
  const call = lab.call(GET, str('name'), room(100), room(3), room(3));
  t.equal(call.status, 0);
  t.same(bytesIn(call.parameters[2]), new Uint8Array(3));
});

t.test('function 2 SET takes 2 or 3 parameters; without flags it clears them', async (t) => {
  const lab = new PropertyLab();
  t.equal(lab.call(SET, str('a'), str('1'), str('TRANSIENT')).status, 0);
  t.same(lab.get('a'), ['1', 'TRANSIENT']);
  t.equal(lab.call(SET, str('a'), str('2')).status, 0);
  t.same(lab.get('a'), ['2', '']);
});

t.test('function 3 SET_VALUE takes 2 or 3 parameters; without flags it clears them', async (t) => {
  const lab = new PropertyLab();
  t.equal(lab.call(SET_VALUE, str('a'), str('1'), str('TRANSIENT')).status, 0);
  t.same(lab.get('a'), ['1', 'TRANSIENT']);
  t.equal(lab.call(SET_VALUE, str('a'), str('2')).status, 0);
  t.same(lab.get('a'), ['2', '']);
});

t.test('function 4 DEL deletes; of a missing name it succeeds', async (t) => {
  const lab = new PropertyLab();
  lab.set('a', '1');
  t.equal(lab.delete('a'), 0);
  t.equal(lab.get('a'), VERR_NOT_FOUND);
  t.equal(lab.delete('a'), 0);
});

t.test('an unknown function is -12', async (t) => {
  const lab = new PropertyLab();
  for (const fn of [0, 7, 0xffffffff]) t.equal(lab.call(fn).status, VERR_NOT_IMPLEMENTED);
});

const COUNTS: readonly (readonly [name: string, fn: number, counts: readonly number[]])[] = [
  ['GET', GET, [4]],
  ['SET', SET, [2, 3]],
  ['SET_VALUE', SET_VALUE, [2, 3]],
  ['DEL', DEL, [1]],
  ['ENUM', ENUM, [3]],
  ['GET_NOTIFICATION', GET_NOTIFICATION, [4]],
];
for (const [name, fn, counts] of COUNTS) {
  t.test(
    `${name} with another number of parameters than ${counts.join(' or ')} is -2`,
    async (t) => {
      const lab = new PropertyLab();
      for (let count = 0; count <= 6; count++) {
        if (counts.includes(count)) continue;
        const parameters = Array.from({ length: count }, () => str(''));
        t.equal(lab.call(fn, ...parameters).status, VERR_INVALID_PARAMETER, `${count} parameters`);
      }
    },
  );
}

const good = {
  GET: [str('a'), room(9), u64(), u32()],
  SET: [str('a'), str('1'), str('')],
  DEL: [str('a')],
  ENUM: [str(''), room(9), u32()],
  GET_NOTIFICATION: [str(''), u64(), room(9), u32()],
} as const;
const CHECKED: readonly (readonly [keyof typeof good, fn: number, at: number, what: string])[] = [
  ['GET', GET, 0, 'text'],
  ['GET', GET, 1, 'buffer'],
  ['SET', SET, 0, 'text'],
  ['SET', SET, 1, 'text'],
  ['SET', SET, 2, 'text'],
  ['DEL', DEL, 0, 'text'],
  ['ENUM', ENUM, 0, 'text'],
  ['ENUM', ENUM, 1, 'buffer'],
  ['GET_NOTIFICATION', GET_NOTIFICATION, 0, 'text'],
  ['GET_NOTIFICATION', GET_NOTIFICATION, 1, 'u64'],
  ['GET_NOTIFICATION', GET_NOTIFICATION, 2, 'buffer'],
];
for (const [name, fn, at, what] of CHECKED) {
  t.test(`${name}: parameter ${at + 1} that is no ${what} is -2`, async (t) => {
    const wrong = [
      u32(),
      ...(what === 'u64' ? [room(8)] : [u64()]),
      ...(what === 'text'
        ? [room(0), buffer([0x61]), buffer([0xff, 0]), buffer([0xc0, 0x80, 0])]
        : []),
    ];
    for (const parameter of wrong) {
      const parameters = good[name].map((one, index) => (index === at ? parameter : one));
      t.equal(new PropertyLab().call(fn, ...parameters).status, VERR_INVALID_PARAMETER);
    }
  });
}

t.test('a text ends at its first NUL', async (t) => {
  const lab = new PropertyLab();
  t.equal(lab.call(SET, str('name\0more'), str('value\0more')).status, 0);
  t.same(lab.get('name'), ['value', '']);
});

t.test('a byte order mark belongs to the text', async (t) => {
  const lab = new PropertyLab();
  lab.set('name', '\ufeffvalue');
  t.same(property(lab.service.get('name')).value, '\ufeffvalue');
});

const NAMES: readonly (readonly [what: string, name: string, v7: number, v6: number])[] = [
  ['no byte', '', -2, -2],
  ['one byte', 'a', 0, 0],
  ['63 bytes', 'a'.repeat(63), 0, 0],
  ['64 bytes', 'a'.repeat(64), -2, 0],
  ['32 letters of 2 bytes', 'é'.repeat(32), -2, 0],
  ['1023 bytes', 'a'.repeat(1023), -2, 0],
  ['1024 bytes', 'a'.repeat(1024), -2, -2],
  ['*', 'a*', -2, -2],
  ['?', 'a?', -2, -2],
  ['|', 'a|', -2, -2],
  ['a ? behind its NUL', 'a\0?', -2, -2],
  ['nothing before its NUL', '\0a', -2, -2],
];
for (const [what, name, v7, v6] of NAMES) {
  t.test(`a name of ${what} is ${v7} in V7 and ${v6} in V6`, async (t) => {
    t.equal(new PropertyLab('v7').set(name, 'x'), v7);
    t.equal(new PropertyLab('v6').set(name, 'x'), v6);
  });
}

const VALUES: readonly (readonly [bytes: number, v7: number, v6: number])[] = [
  [0, 0, 0],
  [127, 0, 0],
  [128, 0, 0],
  [1023, 0, 0],
  [1024, VERR_TOO_MUCH_DATA, 0],
  [65535, VERR_TOO_MUCH_DATA, 0],
  [65536, VERR_TOO_MUCH_DATA, VERR_TOO_MUCH_DATA],
];
for (const [bytes, v7, v6] of VALUES) {
  t.test(`a value of ${bytes} bytes is ${v7} in V7 and ${v6} in V6`, async (t) => {
    for (const [profile, expected] of [
      ['v7', v7],
      ['v6', v6],
    ] as const) {
      const lab = new PropertyLab(profile);
      t.equal(lab.set('name', 'x'.repeat(bytes)), expected);
      t.equal(lab.service.set('other', 'x'.repeat(bytes)), expected, 'by the host');
    }
  });
}

t.test('flags with an unknown word are -53', async (t) => {
  const lab = new PropertyLab();
  t.equal(lab.set('a', '1', 'SECRET'), VERR_PARSE_ERROR);
  t.equal(lab.set('a', '1', 'TRANSIENT,'.repeat(200)), VERR_PARSE_ERROR, 'and very long ones');
  t.equal(lab.get('a'), VERR_NOT_FOUND);
});

t.test('256 properties are -42 for one more, and may still be changed', async (t) => {
  const lab = new PropertyLab();
  const all = lab.service.enumerate('');
  const first = Array.isArray(all) ? all.length : 0;
  for (let i = first; i < 256; i++) t.equal(lab.set(`p${i}`, ''), 0);
  const changes: string[] = [];
  lab.service.onChange('', ({ name, deleted }) => changes.push(`${name} ${deleted}`));
  t.equal(lab.set('more', ''), VERR_TOO_MUCH_DATA);
  t.equal(lab.service.set('more', ''), VERR_TOO_MUCH_DATA, 'for the host too');
  t.same(changes, ['more true', 'more true'], 'which is told as if it had been deleted');
  t.equal(lab.set('p255', 'changed'), 0);
  t.equal(lab.delete('p255'), 0);
  t.equal(lab.set('more', ''), 0);
});

t.test(
  'function 5 ENUM gives name, value, timestamp, flags of each match, then four NULs',
  async (t) => {
    const lab = new PropertyLab();
    lab.set('a', '1', 'TRANSIENT');
    const { timestamp } = property(lab.service.get('a'));
    const text = `a\x001\x00${timestamp}\x00TRANSIENT\x00\x00\x00\x00\x00`;
    const call = lab.call(ENUM, str('a'), room(100), u32());
    t.equal(call.status, 0);
    t.equal(numberIn(call.parameters[2]), text.length);
    t.equal(new TextDecoder().decode(bytesIn(call.parameters[1]).subarray(0, text.length)), text);
  },
);

t.test('function 5 ENUM into a small buffer is -41 with the needed size', async (t) => {
  const lab = new PropertyLab();
  lab.set('a', '1');
  const needed = numberIn(lab.call(ENUM, str('a'), room(100), u32()).parameters[2]);
  const small = lab.call(ENUM, str('a'), room(Number(needed) - 1), u32());
  t.equal(small.status, VERR_BUFFER_OVERFLOW);
  t.equal(numberIn(small.parameters[2]), needed);
  t.equal(lab.call(ENUM, str('a'), room(Number(needed)), u32()).status, 0, 'one that just fits');
});

t.test('function 5 ENUM without a match needs 4 bytes', async (t) => {
  const lab = new PropertyLab();
  t.equal(lab.call(ENUM, str('none'), room(3), u32()).status, VERR_BUFFER_OVERFLOW);
  const call = lab.call(ENUM, str('none'), buffer([1, 1, 1, 1, 1]), u32());
  t.equal(call.status, 0);
  t.equal(numberIn(call.parameters[2]), 4);
  t.same(bytesIn(call.parameters[1]), Uint8Array.of(0, 0, 0, 0, 1));
});

t.test('function 5 ENUM splits patterns by | and by NUL; no pattern is everything', async (t) => {
  const lab = new PropertyLab();
  for (const name of ['a', 'b', 'c1', 'c2']) lab.set(name, '');
  t.same(lab.names(str('a|c*')), ['a', 'c1', 'c2']);
  t.same(lab.names(str('a\0c?')), ['a', 'c1', 'c2']);
  t.same(lab.names(str('')), ['a', 'b', 'c1', 'c2']);
  t.same(lab.names(str('A')), [], 'and case matters');
});

t.test('function 5 ENUM with patterns of more than 1024 bytes is -42', async (t) => {
  const lab = new PropertyLab();
  t.same(lab.names(str('a'.repeat(1023))), []);
  t.equal(lab.names(str('a'.repeat(1024))), VERR_TOO_MUCH_DATA);
  t.equal(lab.wait('a'.repeat(1024)).status, VERR_TOO_MUCH_DATA, 'GET_NOTIFICATION too');
  t.equal(lab.service.enumerate('a'.repeat(1024)), VERR_TOO_MUCH_DATA, 'and for the host');
});

const RESERVED = [
  '/VirtualBox/GuestAdd/VBoxService/',
  '/VirtualBox/GuestAdd/PAM/',
  '/VirtualBox/GuestAdd/Greeter/',
  '/VirtualBox/GuestAdd/SharedFolders/',
  '/VirtualBox/HostInfo/',
  '/VirtualBox/VMInfo/',
];
for (const prefix of RESERVED) {
  t.test(
    `${prefix} is reserved: the guest may not write, the host writes RDONLYGUEST`,
    async (t) => {
      const lab = new PropertyLab();
      t.equal(lab.set(`${prefix}x`, '1'), VERR_PERMISSION_DENIED);
      t.equal(lab.get(`${prefix}x`), VERR_NOT_FOUND);
      t.equal(lab.service.set(`${prefix}x`, '1', 'TRANSIENT'), 0);
      t.same(lab.get(`${prefix}x`), ['1', 'TRANSIENT, RDONLYGUEST']);
      t.equal(lab.delete(`${prefix}x`), VERR_PERMISSION_DENIED);
    },
  );
}

t.test('names beside the reserved ones are free', async (t) => {
  const lab = new PropertyLab();
  for (const name of ['/VirtualBox/HostInfo', '/VirtualBox/GuestAdd/x', '/virtualbox/HostInfo/x']) {
    t.equal(lab.set(name, ''), 0, name);
  }
});

const DENIED = VERR_PERMISSION_DENIED;
const RIGHTS: readonly (readonly [flags: string, frozen: boolean, guest: number, host: number])[] =
  [
    ['', false, 0, 0],
    ['TRANSIENT', false, 0, 0],
    ['TRANSRESET', false, 0, 0],
    ['RDONLYGUEST', false, DENIED, 0],
    ['RDONLYHOST', false, 0, DENIED],
    ['READONLY', false, DENIED, DENIED],
    ['', true, VINF_PERMISSION_DENIED, 0],
    ['RDONLYGUEST', true, DENIED, 0],
    ['RDONLYHOST', true, VINF_PERMISSION_DENIED, DENIED],
    ['READONLY', true, DENIED, DENIED],
  ];
for (const [flags, frozen, guest, host] of RIGHTS) {
  const what = `flags '${flags}'${frozen ? ', globally read-only for the guest' : ''}`;
  t.test(`${what}: a write of the guest is ${guest}, of the host ${host}`, async (t) => {
    const acts = {
      'guest sets': [guest, (lab: PropertyLab) => lab.set('name', 'new')],
      'guest deletes': [guest, (lab: PropertyLab) => lab.delete('name')],
      'host sets': [host, (lab: PropertyLab) => lab.service.set('name', 'new')],
      'host deletes': [host, (lab: PropertyLab) => lab.service.delete('name')],
    } as const;
    for (const [act, [expected, run]] of Object.entries(acts)) {
      const lab = new PropertyLab();
      t.equal(lab.service.set('name', 'old', flags), 0);
      if (frozen) lab.service.setGlobalFlags(GUEST_PROP_F.GUEST_PROP_F_RDONLYGUEST);
      const before = lab.service.get('name');
      t.equal(run(lab), expected, act);
      if (expected !== 0) t.same(lab.service.get('name'), before, 'nothing changes');
      else t.not(lab.service.get('name'), before);
    }
  });
}

t.test(
  'globally read-only: a new property of the guest is +10 and does not come to be',
  async (t) => {
    const lab = new PropertyLab();
    lab.service.setGlobalFlags(GUEST_PROP_F.GUEST_PROP_F_RDONLYGUEST);
    t.equal(lab.set('new', '1'), VINF_PERMISSION_DENIED);
    t.equal(lab.get('new'), VERR_NOT_FOUND);
    t.equal(lab.delete('new'), 0, 'and to delete what is not there succeeds');
  },
);

t.test(
  'timestamps are nanoseconds since 1970, and each is later than the one before',
  async (t) => {
    const lab = new PropertyLab();
    lab.clock.advance(1000);
    const times = ['a', 'b', 'c'].map((name) => {
      lab.set(name, '');
      return property(lab.service.get(name)).timestamp;
    });
    t.same(times, [lab.now, lab.now + 1n, lab.now + 2n]);
    lab.clock.advance(1);
    lab.set('d', '');
    t.equal(property(lab.service.get('d')).timestamp, lab.now);
  },
);

t.test('timestamps go on when the clock is set back', async (t) => {
  let wallMs = 5000;
  const service = new GuestPropertyService({
    clock: { monotonicMs: () => 0, wallMs: () => wallMs },
  });
  service.set('a', '');
  const { timestamp } = property(service.get('a'));
  wallMs = 1000;
  service.set('a', '');
  t.equal(property(service.get('a')).timestamp, timestamp + 1n);
});

t.test('the properties that a host has from the start', async (t) => {
  const lab = new PropertyLab('v7', { version: '6.1.36', revision: 152435 });
  const expected: [string, string, string][] = [
    ['/VirtualBox/HostInfo/VBoxVer', '6.1.36', 'TRANSIENT, RDONLYGUEST'],
    ['/VirtualBox/HostInfo/VBoxVerExt', '6.1.36', 'TRANSIENT, RDONLYGUEST'],
    ['/VirtualBox/HostInfo/VBoxRev', '152435', 'TRANSIENT, RDONLYGUEST'],
    ['/VirtualBox/VMInfo/ResetCounter', '0', 'TRANSIENT, RDONLYGUEST'],
    ['/VirtualBox/VMInfo/ResumeCounter', '0', 'TRANSIENT, RDONLYGUEST'],
    ['/VirtualBox/HostGuest/SysprepExec', '', 'TRANSIENT, RDONLYGUEST'],
    ['/VirtualBox/HostGuest/SysprepArgs', '', 'TRANSIENT, RDONLYGUEST'],
  ];
  for (const [name, value, flags] of expected) t.same(lab.get(name), [value, flags], name);
  const all = lab.service.enumerate('');
  t.equal(Array.isArray(all) ? all.length : 0, expected.length);
});
