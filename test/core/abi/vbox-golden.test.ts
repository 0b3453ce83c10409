/** VirtualBox's guest device: every struct, number and table against golden values from a C compiler. */
import t, { type Test } from 'tap';
import { codeOf, errnoOf } from '../../../src/core/abi/errno.js';
import * as guestProp from '../../../src/core/abi/guest-prop.js';
import * as hgcm from '../../../src/core/abi/hgcm.js';
import * as vboxErr from '../../../src/core/abi/vbox-err.js';
import * as vboxguest from '../../../src/core/abi/vboxguest.js';
import * as vmmdev from '../../../src/core/abi/vmmdev.js';
import * as allowed from '../../../src/core/abi/vmmdev-allowed.js';
import * as display from '../../../src/core/abi/vmmdev-display.js';
import * as memory from '../../../src/core/abi/vmmdev-memory.js';
import * as requests from '../../../src/core/abi/vmmdev-requests.js';
import { VMMDEV_REQUEST_SIZES } from '../../../src/core/abi/vmmdev-sizes.js';
import {
  type ComparedLayout,
  type GoldenAbi,
  type GoldenField,
  type GoldenStruct,
  isLayout,
  readGolden,
} from '../../helpers/golden.js';

interface VboxIoctl {
  type: number;
  nr: number;
  dir: number;
  size: number;
  value: number;
  required_size_in?: number;
  required_size_out?: number;
  upstream_only?: boolean;
}

interface VboxAbi extends GoldenAbi<VboxIoctl> {
  structs: Record<string, GoldenStruct & { same_on_32bit?: boolean }>;
  errno_map: {
    default: { errno: string };
    map: Record<string, { vbox: number; errno: string; errno_value: number }>;
  };
  vmmdev_allow_list: {
    trusted_only_eperm_via_vboxuser: number[];
    anyone: number[];
    type_55_by_u32_at_24: { eperm: number[]; trusted_only: number[] };
  };
  service_names: string[];
  request_sizes: Record<string, { size: number; element?: number }>;
}

const golden = readGolden<VboxIoctl>('vboxguest-abi') as VboxAbi;

const MODULES: Record<string, unknown>[] = [
  { ...vboxErr, VBOX_STATUS_ERRNO: undefined },
  ...[vmmdev, requests, memory, display, hgcm, guestProp, vboxguest],
];

/** No header has them by these names; the test of each says what it must be. */
const WITHOUT_GOLDEN: Record<string, number> = {
  VMMDEV_MEMORY_SIZE: golden.structs.VMMDevMemory?.size ?? Number.NaN,
  VMMDEV_TIMESYNC_PORT: 0x505,
  VMMDEV_CHANGE_MEM_BALLOON_SIZE: 2080,
  GUEST_PROP_MAX_VALUE_LEN_6: 128,
  VBG_IOCTL_LOG: golden.ioctls['VBG_IOCTL_LOG(0)']?.value ?? Number.NaN,
};

/** Members of a union that we describe under another name, or not at all. */
const OTHER_MEMBERS =
  /^(V\.V1_03|vbvaMemory|u\.(value32|LinAddr|Embedded)|u\.(P|p)ointer\.u\.phys_?[aA]ddr)/;

/** They end in arrays, or in what is left out. */
const OPEN_ENDED = new Set([
  ...['VMMDevMemory', 'VMMDevChangeMemBalloon', 'VMMDevReqLogString', 'VMMDevReqMousePointer'],
  ...['VMMDevReportGuestUserState', 'VBoxGuestUserStatus', 'VMMDevVideoSetVisibleRegion'],
  ...['VMMDevDisplayChangeRequestMulti', 'VMMDevVideoUpdateMonitorPositions'],
  ...['VMMDevSharedModuleRegistrationRequest', 'HGCMPageListInfo', 'vbg_ioctl_log'],
]);

/** One C struct, and the layouts that describe it: several for the members of a union. */
interface Described {
  struct: string;
  layouts: ComparedLayout[];
}

function layoutsOf(): ComparedLayout[] {
  const all = MODULES.flatMap((module) => Object.values(module).filter(isLayout));
  return [...new Set(all)];
}

/** The C structs that a layout describes. */
function structsOf(layout: ComparedLayout): string[] {
  const { name } = layout;
  if (name.startsWith('HGCMFunctionParameter_')) {
    return ['HGCMFunctionParameter', 'vmmdev_hgcm_function_parameter'].flatMap((each) => [
      `${each}32`,
      `${each}64`,
    ]);
  }
  const base = name.replace(/_(in|out|value)$/, '');
  const linux: Record<string, string> = {
    HGCMFunctionParameter32: 'vmmdev_hgcm_function_parameter32',
    HGCMFunctionParameter64: 'vmmdev_hgcm_function_parameter64',
    HGCMPageListInfo: 'vmmdev_hgcm_pagelist',
    HGCMServiceLocation: 'vmmdev_hgcm_service_location',
  };
  return linux[base] === undefined ? [base] : [base, linux[base]];
}

function described(): Described[] {
  const rows = new Map<string, ComparedLayout[]>();
  for (const layout of layoutsOf()) {
    for (const struct of structsOf(layout)) {
      rows.set(struct, [...(rows.get(struct) ?? []), layout]);
    }
  }
  return [...rows].map(([struct, layouts]) => ({ struct, layouts }));
}

/** Linux' names of fields that we name as VirtualBox does. */
const LINUX_FIELDS: Record<string, string> = {
  linearAddr: 'linear_addr',
  achName: 'service_name',
  offFirstPage: 'offset_first_page',
  cPages: 'page_count',
};

/** Where a field of ours may stand in the struct, the members of unions being named on the way. */
function goldenField(
  layout: ComparedLayout,
  path: string,
  struct: GoldenStruct,
): GoldenField | undefined {
  const name = path.split('.').at(-1) ?? path;
  const names = [name, LINUX_FIELDS[name]].filter((each) => each !== undefined);
  const member = /_(in|out)$/.exec(layout.name)?.[1];
  const ways = [
    ...[
      '',
      'u.',
      'V.V1_04.',
      'status.',
      'u.Pointer.',
      'u.Pointer.u.',
      'u.pointer.',
      'u.pointer.u.',
    ],
    ...['u.host.', 'u.localhost.', 'loc.', 'loc.u.host.', 'u.in.loc.', 'u.in.loc.u.localhost.'],
  ];
  const first = /_PageList$/.test(layout.name) ? ['u.PageList.', 'u.page_list.', ''] : ways;
  const prefixes = member === undefined ? first : [`u.${member}.`, ...ways];
  for (const prefix of prefixes) {
    for (const each of names) {
      const found = struct.fields.find((field) => field.name === `${prefix}${each}`);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

/** Whether a scalar of ours reads the bytes as the C type would. */
function sameKind(field: GoldenField, type: ComparedLayout['fields'][number]['type']): boolean {
  if (!/^(_*[us]\d+|u?int\d+_t)$/.test(field.type)) return true;
  const signed = /^(_*s|int)/.test(field.type);
  const ones = type.read(new DataView(new Uint8Array(8).fill(0xff).buffer), 0);
  return signed === Number(ones as number | bigint) < 0;
}

/** Compares one layout's fields; gives the names of the golden fields that they cover. */
function compareFields(
  t: Test,
  layout: ComparedLayout,
  struct: GoldenStruct,
  fields = layout.fields,
  base = 0,
): string[] {
  return fields.flatMap((field) => {
    const found = goldenField(layout, field.name, struct);
    const what = `${layout.name}.${field.name}`;
    if (isLayout(field.type) && !isWhole(field.type, found)) {
      return compareFields(t, layout, struct, field.type.fields, base + field.offset);
    }
    if (found === undefined) {
      t.fail(`${what} is not in the header`);
      return [];
    }
    t.equal(base + field.offset, found.offset, `offset of ${what}`);
    t.equal(field.size, found.size, `size of ${what}`);
    t.ok(sameKind(found, field.type), `${what} is a ${found.type}`);
    return [found.name];
  });
}

/** Whether a field is the struct that the header has there, and not only the beginning of it. */
function isWhole({ name }: ComparedLayout, found: GoldenField | undefined): boolean {
  return found?.type.toLowerCase() === `struct ${name.toLowerCase()}` && !OPEN_ENDED.has(name);
}

/** Bit-fields, and a struct that the header has not: tests of their own. */
const FIELDS_APART = new Set(['HGCMFunctionParameter_Embedded', 'VMMDevReqGuestHeartbeat']);

t.test('every struct has the layout that the compiler gives it', async (t) => {
  for (const { struct, layouts } of described()) {
    const wanted = golden.structs[struct];
    const compared = layouts.filter(({ name }) => !FIELDS_APART.has(name));
    if (compared.length === 0) continue;
    if (wanted === undefined) {
      t.fail(`${struct} has no golden struct`);
      continue;
    }
    const size = Math.max(...layouts.map((layout) => layout.size));
    if (OPEN_ENDED.has(layouts[0]?.name ?? '')) t.ok(size <= wanted.size, `size of ${struct}`);
    else t.equal(size, wanted.size, `size of ${struct}`);
    const covered = compared.flatMap((layout) => compareFields(t, layout, wanted));
    const missing = leaves(wanted).filter(
      ({ name, offset }) =>
        !covered.some((each) => name === each || name.startsWith(`${each}.`)) &&
        !OTHER_MEMBERS.test(name) &&
        !(OPEN_ENDED.has(layouts[0]?.name ?? '') && offset >= size),
    );
    t.strictSame(
      missing.map(({ name }) => name),
      [],
      `nothing of ${struct} is left out`,
    );
  }
});

/** The fields that have no fields of their own. */
function leaves(struct: GoldenStruct): GoldenField[] {
  return struct.fields.filter(
    ({ name, type }) =>
      !/(struct|union) \{\}$/.test(type) &&
      !struct.fields.some((other) => other.name.startsWith(`${name}.`)),
  );
}

t.test('no struct of the golden file is left out', async (t) => {
  const ours = new Set(described().map(({ struct }) => struct));
  const parts = /^(HGCMServiceLocationHost|vmmdev_hgcm_service_location_localhost)$/;
  const missing = Object.keys(golden.structs).filter(
    (name) => !ours.has(name) && !parts.test(name),
  );
  t.strictSame(missing, []);
});

t.test('what programs pass to the driver is the same for 32-bit programs', async (t) => {
  const structs = Object.entries(golden.structs).filter(([name]) => /^(vbg|vmmdev)_/.test(name));
  for (const [name, struct] of structs) t.equal(struct.same_on_32bit, true, name);
  t.ok(structs.length > 0);
});

t.test('the bits of embedded data are where the compiler puts them', async (t) => {
  for (const struct of ['HGCMFunctionParameter32', 'HGCMFunctionParameter64']) {
    const fields = golden.structs[struct]?.fields ?? [];
    const offset = (name: string) => fields.find((field) => field.name === name)?.offset;
    const layout = hgcm.HGCMFunctionParameter_Embedded;
    t.equal(layout.offset('type'), offset('type'));
    t.equal(layout.offset('flagsAndOffset'), offset('u.Embedded.fFlags'));
    t.equal(layout.offset('flagsAndOffset') + 1, offset('u.Embedded.offData'), 'after 8 bits');
    t.equal(layout.offset('cbData'), offset('u.Embedded.cbData'));
  }
});

t.test('a heartbeat is a bare header', async (t) => {
  t.equal(requests.VMMDevReqGuestHeartbeat.size, golden.structs.VMMDevRequestHeader?.size);
});

/** Every number that a module exports, on its own or in an enumeration. */
function numbers(): [string, number][] {
  return MODULES.flatMap((module) =>
    Object.entries(module).flatMap(([name, value]): [string, number][] => {
      if (typeof value === 'number') return [[name, value]];
      if (typeof value !== 'object' || value === null || isLayout(value)) return [];
      return Object.entries(value).filter((entry): entry is [string, number] => {
        return /^V|^GUEST_PROP/.test(entry[0]) && typeof entry[1] === 'number';
      });
    }),
  );
}

t.test('every number has its value in the header', async (t) => {
  for (const [name, value] of numbers()) {
    const wanted =
      golden.constants[name] ?? golden.ioctls[name]?.value ?? WITHOUT_GOLDEN[name] ?? 'no golden';
    t.equal(value, wanted, name);
  }
});

t.test('no constant of the golden file is left out', async (t) => {
  const ours = new Set(numbers().map(([name]) => name));
  t.strictSame(
    Object.keys(golden.constants).filter((name) => !ours.has(name)),
    [],
  );
});

t.test('every ioctl has the number of the header, whatever its size', async (t) => {
  const exports: Record<string, unknown> = {
    ...vboxguest,
    ...vboxguest.VBGL_IOCTLS,
    VBG_IOCTL_HGCM_CALL: vboxguest.VBG_IOCTL_HGCM_CALL_64,
  };
  for (const [macro, { value }] of Object.entries(golden.ioctls)) {
    const [, name = macro, size] = /^(\w+)\((\d+)\)$/.exec(macro) ?? [];
    const found = exports[name];
    t.equal(typeof found === 'function' ? found(Number(size)) : found, value, macro);
  }
  const known = new Set(Object.keys(golden.ioctls).map((macro) => macro.replace(/\(.*/, '')));
  const ours = Object.keys(exports).filter((name) => /^VBGL?_IOCTL_[A-Z_0-9]*$/.test(name));
  const unknown = ours.filter((name) => !known.has(name) && golden.constants[name] === undefined);
  t.strictSame(unknown, ['VBG_IOCTL_SIZES']);
});

t.test('a size that an ioctl has no bits for is refused', async (t) => {
  t.throws(() => vboxguest.VBG_IOCTL_VMMDEV_REQUEST(1 << 14), RangeError);
  t.throws(() => vboxguest.VBG_IOCTL_LOG_ALT(1 << 14), RangeError);
});

t.test('calls of a fixed size have the sizes that the driver insists on', async (t) => {
  const wanted = Object.entries(golden.ioctls)
    .filter(([, row]) => row.required_size_in !== undefined && row.upstream_only !== true)
    .map(([name, row]) => [name, { in: row.required_size_in, out: row.required_size_out }]);
  t.strictSame(vboxguest.VBG_IOCTL_SIZES, Object.fromEntries(wanted));
});

t.test('every request has its size', async (t) => {
  t.strictSame(sorted(VMMDEV_REQUEST_SIZES), sorted(golden.request_sizes));
});

function sorted<T>(rows: Readonly<Record<string, T>>): [string, T][] {
  return Object.entries(rows).sort(([a], [b]) => (a < b ? -1 : 1));
}

t.test('every request has one name', async (t) => {
  for (const [name, type] of Object.entries(vmmdev.VMMDEV_REQUEST_TYPE)) {
    t.equal(vmmdev.vmmdevRequestName(type), name);
  }
  t.equal(vmmdev.vmmdevRequestName(6), undefined);
});

t.test('events and capabilities fill their masks', async (t) => {
  const all = (masks: Record<string, number>) => Object.values(masks).reduce((a, b) => a | b, 0);
  t.equal(all(vmmdev.VMMDEV_EVENT), vmmdev.VMMDEV_EVENT_VALID_EVENT_MASK);
  t.equal(all(vmmdev.VMMDEV_GUEST_SUPPORTS), vmmdev.VMMDEV_GUEST_CAPABILITIES_MASK);
  t.equal(all(guestProp.GUEST_PROP_F), guestProp.GUEST_PROP_F.GUEST_PROP_F_ALLFLAGS);
});

t.test('a failure is translated as the driver does it', async (t) => {
  const { map } = golden.errno_map;
  t.strictSame(
    Object.keys(vboxErr.VBOX_STATUS_ERRNO).sort(),
    Object.keys(map).sort(),
    'none is left out',
  );
  for (const [name, row] of Object.entries(map)) {
    const code = vboxErr.vbg_status_code_to_errno(row.vbox);
    t.equal(code, row.errno, name);
    t.equal(code && errnoOf(code, 'linux'), row.errno_value, row.errno);
  }
  const translated = new Set(Object.values(map).map(({ vbox }) => vbox));
  for (const rc of Object.values(vboxErr.VBOX_STATUS)) {
    if (translated.has(rc)) continue;
    const wanted = rc < 0 ? golden.errno_map.default.errno : undefined;
    t.equal(vboxErr.vbg_status_code_to_errno(rc), wanted, vboxErr.vboxStatusName(rc));
  }
  t.equal(vboxErr.vbg_status_code_to_errno(-99999), 'EPROTO');
});

t.test('an error that FreeBSD has not is EIO there', async (t) => {
  t.equal(errnoOf('ENODATA', 'freebsd'), errnoOf('EIO', 'freebsd'));
  t.equal(codeOf(errnoOf('ENODATA', 'linux'), 'freebsd'), 'ECONNREFUSED', 'another has its number');
  t.equal(codeOf(errnoOf('EIO', 'freebsd'), 'freebsd'), 'EIO');
});

t.test('a status has a name, and one without has its number', async (t) => {
  for (const [name, rc] of Object.entries(vboxErr.VBOX_STATUS)) {
    t.equal(vboxErr.vboxStatusName(rc), name);
  }
  t.equal(vboxErr.vboxStatusName(-123456), 'rc -123456');
});

t.test('programs may pass on the requests that the driver lets them', async (t) => {
  const list = golden.vmmdev_allow_list;
  const { eperm, trusted_only } = list.type_55_by_u32_at_24;
  for (let type = 0; type <= 300; type++) {
    if (type === 55) continue;
    const wanted = list.anyone.includes(type)
      ? 'anyone'
      : list.trusted_only_eperm_via_vboxuser.includes(type)
        ? 'trusted'
        : 'refused';
    t.equal(allowed.userRequestClass(type, 20), wanted, `request ${type}`);
  }
  for (const word of [0, 1, 7, 90, 101, ...eperm, ...trusted_only]) {
    const wanted = eperm.includes(word)
      ? 'refused'
      : trusted_only.includes(word)
        ? 'trusted'
        : 'anyone';
    t.equal(allowed.userRequestClass(55, word), wanted, `request 55 with ${word}`);
  }
  const { request, offset } = allowed.VMMDEV_USER_REQUESTS.byContent;
  t.equal(vmmdev.VMMDEV_REQUEST_TYPE[request], 55);
  t.equal(requests.VMMDevReqGuestCapabilities.offset('caps'), offset);
});

t.test("the names and limits of the host's services", async (t) => {
  t.strictSame(hgcm.HGCM_SERVICES, golden.service_names);
  t.strictSame(hgcm.HGCM_MAX_CLIENTS, { kernel: 2048, root: 1024, user: 1024 });
  t.strictSame(hgcm.HGCM_MAX_CLIENT_CALLS, { kernel: 8192, root: 4096, user: 2048 });
  t.strictSame(hgcm.HGCM_HEAP_BUDGET, {
    min: 0x2000000,
    maxVirtualBox6: 0x20000000,
    maxVirtualBox7: 0x40000000,
  });
  t.strictSame(vboxguest.VBG_USER_PARM_TYPES, [1, 2, 4, 5, 6]);
});

t.test('a parameter of 64 bits is read back from where the compiler puts it', async (t) => {
  const value64 = 0x1122334455667788n;
  const data = hgcm.HGCMFunctionParameter64_value.encode({ type: 2, value64 });
  t.equal(Buffer.from(data).toString('hex'), '020000008877665544332211');
  const buffer = hgcm.HGCMFunctionParameter64.encode({ type: 4, size: 16, linearAddr: value64 });
  t.equal(Buffer.from(buffer).toString('hex'), '04000000100000008877665544332211');
});
