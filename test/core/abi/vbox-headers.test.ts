/** VirtualBox's guest device against a C compiler and the system's own headers. */
import t from 'tap';
import * as hgcm from '../../../src/core/abi/hgcm.js';
import type { FieldType } from '../../../src/core/abi/layout.js';
import { VBOX_STATUS } from '../../../src/core/abi/vbox-err.js';
import * as vboxguest from '../../../src/core/abi/vboxguest.js';
import { VMMDEV_REQUEST_TYPE, VMMDEV_REQUESTOR } from '../../../src/core/abi/vmmdev.js';
import { AbiProgram, compareWithCompiler } from '../../helpers/c-abi.js';
import { type ComparedLayout, isLayout, readGolden } from '../../helpers/golden.js';
import { requireFile, requireTool } from '../../helpers/requires.js';

/** Linux' names for our requests. */
const { linux_requests: LINUX_REQUESTS } = readGolden('vboxguest-abi') as unknown as {
  linux_requests: Record<string, keyof typeof VMMDEV_REQUEST_TYPE>;
};

/** Of VirtualBox' own headers, which no system installs. */
const OF_VIRTUALBOX = new Set([
  ...['VINF_PERMISSION_DENIED', 'VINF_BUFFER_OVERFLOW', 'VWRN_NOT_FOUND', 'VERR_CANCELLED'],
  ...['VERR_INVALID_UTF8_ENCODING', 'VERR_NO_STR_MEMORY', 'VERR_WRONG_TYPE', 'VERR_MISMATCH'],
  ...['VERR_NOT_AVAILABLE', 'VERR_NO_STRING_TERMINATOR', 'VERR_WRONG_PARAMETER_TYPE'],
  ...['VERR_WRONG_PARAMETER_COUNT', 'VERR_HGCM_SERVICE_NOT_FOUND', 'VINF_HGCM_CLIENT_REJECTED'],
  ...['VERR_HGCM_INVALID_CMD_ADDRESS', 'VERR_HGCM_INTERNAL', 'VERR_HGCM_INVALID_CLIENT_ID'],
  ...['VINF_HGCM_SAVE_STATE', 'VERR_HGCM_SERVICE_EXISTS', 'VERR_HGCM_TOO_MANY_CLIENTS'],
  'VERR_HGCM_TOO_MANY_CLIENT_CALLS',
  ...['VMMDEV_REQUESTOR_USR_SYSTEM', 'VMMDEV_REQUESTOR_USR_RESERVED1'],
  ...['VMMDEV_REQUESTOR_USR_GUEST', 'VMMDEV_REQUESTOR_CON_USER', 'VMMDEV_REQUESTOR_GRP_WHEEL'],
  ...['VMMDEV_REQUESTOR_NO_USER_DEVICE', 'VMMDEV_REQUESTOR_LEGACY', 'VMMDEV_REQUESTOR_LOWEST'],
  // Of the driver, not of its interface.
  ...['VBG_IOCTL_MAX_SIZE', 'VBG_HGCM_CLIENTS_PER_SESSION', 'VBG_MAX_HGCM_USER_PARM'],
  ...['VBG_MAX_HGCM_KERNEL_PARM', 'VBG_LOG_BUF_SIZE', 'VBG_IOCTL_VMMDEV_REQUEST_BIG_ALT'],
  'VBG_IOCTL_LOG',
]);

/** Our layouts by the structs of the header. */
const STRUCTS: [struct: string, prefix: string, layout: ComparedLayout][] = [
  ['vmmdev_hgcm_service_location', 'u.localhost.', hgcm.HGCMServiceLocation],
  ['vmmdev_hgcm_function_parameter32', 'u.pointer.u.', hgcm.HGCMFunctionParameter32],
  ['vmmdev_hgcm_function_parameter32', 'u.', hgcm.HGCMFunctionParameter32_value],
  ['vmmdev_hgcm_function_parameter32', 'u.page_list.', hgcm.HGCMFunctionParameter_PageList],
  ['vmmdev_hgcm_function_parameter64', 'u.pointer.u.', hgcm.HGCMFunctionParameter64],
  ['vmmdev_hgcm_function_parameter64', 'u.', hgcm.HGCMFunctionParameter64_value],
  ['vmmdev_hgcm_function_parameter64', 'u.page_list.', hgcm.HGCMFunctionParameter_PageList],
  ['vmmdev_hgcm_pagelist', '', hgcm.HGCMPageListInfo],
  ...Object.values<unknown>(vboxguest)
    .filter(isLayout)
    .map((layout): [string, string, ComparedLayout] => {
      const [, struct = layout.name, member] = /^(\w+)_(in|out)$/.exec(layout.name) ?? [];
      return [struct, member === undefined ? '' : `u.${member}.`, layout];
    }),
];

/** Fields that aren't where the prefix says, or that Linux names otherwise. */
const FIELDS: Record<string, string> = {
  hdr: 'hdr',
  type: 'type',
  linearAddr: 'u.pointer.u.linear_addr',
  achName: 'u.localhost.service_name',
  offFirstPage: 'offset_first_page',
  cPages: 'page_count',
};

/** Whole structs, by their layouts that are as long. */
const SIZES: Record<string, FieldType<unknown>> = {
  vmmdev_hgcm_service_location: hgcm.HGCMServiceLocation,
  vmmdev_hgcm_function_parameter32: hgcm.HGCMFunctionParameter32,
  vmmdev_hgcm_function_parameter64: hgcm.HGCMFunctionParameter64,
  vbg_ioctl_hdr: vboxguest.vbg_ioctl_hdr,
  vbg_ioctl_driver_version_info: vboxguest.vbg_ioctl_driver_version_info_out,
  vbg_ioctl_hgcm_connect: vboxguest.vbg_ioctl_hgcm_connect_in,
  vbg_ioctl_hgcm_disconnect: vboxguest.vbg_ioctl_hgcm_disconnect_in,
  vbg_ioctl_hgcm_call: vboxguest.vbg_ioctl_hgcm_call,
  vbg_ioctl_wait_for_events: vboxguest.vbg_ioctl_wait_for_events_in,
  vbg_ioctl_change_filter: vboxguest.vbg_ioctl_change_filter_in,
  vbg_ioctl_acquire_guest_caps: vboxguest.vbg_ioctl_acquire_guest_caps_in,
  vbg_ioctl_set_guest_caps: vboxguest.vbg_ioctl_set_guest_caps_in,
  vbg_ioctl_check_balloon: vboxguest.vbg_ioctl_check_balloon_out,
  vbg_ioctl_write_coredump: vboxguest.vbg_ioctl_write_coredump_in,
};

function addStructs(program: AbiProgram): void {
  for (const [struct, prefix, layout] of STRUCTS) {
    for (const { name, offset, size } of layout.fields) {
      const inPointer = name === 'size' && prefix === 'u.pointer.u.';
      const field = inPointer ? 'u.pointer.size' : (FIELDS[name] ?? `${prefix}${name}`);
      program.addNumber(`offsetof(struct ${struct}, ${field})`, offset);
      program.addNumber(`sizeof(((struct ${struct} *)0)->${field})`, size);
    }
  }
  for (const [struct, { size }] of Object.entries(SIZES)) {
    program.addNumber(`sizeof(struct ${struct})`, size);
  }
}

function addNumbers(program: AbiProgram, numbers: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(numbers)) {
    if (typeof value !== 'number' || OF_VIRTUALBOX.has(name)) continue;
    program.addNumber(name, value >>> 0);
  }
}

function addSizedIoctls(program: AbiProgram): void {
  program.addNumber('VBG_IOCTL_LOG(40)', vboxguest.VBG_IOCTL_LOG);
  for (const size of [24, 28, 40, 88, 104, 1023]) {
    program.addNumber(
      `VBG_IOCTL_VMMDEV_REQUEST(${size})`,
      vboxguest.VBG_IOCTL_VMMDEV_REQUEST(size),
    );
    program.addNumber(`VBG_IOCTL_HGCM_CALL_32(${size})`, vboxguest.VBG_IOCTL_HGCM_CALL_32(size));
    program.addNumber(`VBG_IOCTL_HGCM_CALL_64(${size})`, vboxguest.VBG_IOCTL_HGCM_CALL_64(size));
  }
}

/** Enumerators that Linux names by its own rules. */
const LINUX_NAMES: Record<string, number> = {
  VMMDEV_HGCM_LOC_LOCALHOST: hgcm.VMMDEV_HGCM_LOC.VMMDevHGCMLoc_LocalHost,
  VMMDEV_HGCM_LOC_LOCALHOST_EXISTING: hgcm.VMMDEV_HGCM_LOC.VMMDevHGCMLoc_LocalHost_Existing,
  VMMDEV_HGCM_PARM_TYPE_32BIT: hgcm.VMMDEV_HGCM_PARM_TYPE.VMMDevHGCMParmType_32bit,
  VMMDEV_HGCM_PARM_TYPE_64BIT: hgcm.VMMDEV_HGCM_PARM_TYPE.VMMDevHGCMParmType_64bit,
  VMMDEV_HGCM_PARM_TYPE_LINADDR: hgcm.VMMDEV_HGCM_PARM_TYPE.VMMDevHGCMParmType_LinAddr,
  VMMDEV_HGCM_PARM_TYPE_LINADDR_IN: hgcm.VMMDEV_HGCM_PARM_TYPE.VMMDevHGCMParmType_LinAddr_In,
  VMMDEV_HGCM_PARM_TYPE_LINADDR_OUT: hgcm.VMMDEV_HGCM_PARM_TYPE.VMMDevHGCMParmType_LinAddr_Out,
  VMMDEV_HGCM_PARM_TYPE_LINADDR_KERNEL:
    hgcm.VMMDEV_HGCM_PARM_TYPE.VMMDevHGCMParmType_LinAddr_Locked,
  VMMDEV_HGCM_PARM_TYPE_PAGELIST: hgcm.VMMDEV_HGCM_PARM_TYPE.VMMDevHGCMParmType_PageList,
  VMMDEV_HGCM_F_PARM_DIRECTION_TO_HOST:
    hgcm.VBOX_HGCM_F_PARM_DIRECTION.VBOX_HGCM_F_PARM_DIRECTION_TO_HOST,
  VMMDEV_HGCM_F_PARM_DIRECTION_FROM_HOST:
    hgcm.VBOX_HGCM_F_PARM_DIRECTION.VBOX_HGCM_F_PARM_DIRECTION_FROM_HOST,
};

for (const [header, add] of [
  [
    'linux/vboxguest.h',
    (program: AbiProgram) => {
      addStructs(program);
      addNumbers(program, { ...vboxguest });
      addSizedIoctls(program);
    },
  ],
  [
    'linux/vbox_vmmdev_types.h',
    (program: AbiProgram) => {
      addNumbers(program, VMMDEV_REQUESTOR);
      addNumbers(program, LINUX_NAMES);
      for (const [name, ours] of Object.entries(LINUX_REQUESTS)) {
        program.addNumber(name, VMMDEV_REQUEST_TYPE[ours]);
      }
    },
  ],
  ['linux/vbox_err.h', (program: AbiProgram) => addNumbers(program, VBOX_STATUS)],
] as const) {
  t.test(`what we took from <${header}> is what the header says`, async (t) => {
    if (!requireTool(t, 'cc')) return;
    if (!requireFile(t, `/usr/include/${header}`, 'a header for C programs')) return;
    const includes = ['stddef.h', 'stdio.h', 'linux/ioctl.h', header];
    const program = new AbiProgram(includes.map((name) => `#include <${name}>`).join('\n'));
    add(program);
    compareWithCompiler(t, program);
  });
}

t.test('Linux has a name for every request of its age', async (t) => {
  const named = new Set<string>(Object.values(LINUX_REQUESTS));
  const missing = Object.keys(VMMDEV_REQUEST_TYPE).filter((name) => !named.has(name));
  t.strictSame(missing, ['VMMDevReq_GetMouseStatusEx']);
});
