/**
 * The version of the Guest Additions as a guest names it: `MAJOR.MINOR.BUILD`, then maybe `_` and a build's tag (`RC2`,
 * `BETA1`) or a publisher's (`OSE`, `Debian`), or both. Source: VirtualBox' VMMDev.cpp.
 */

export interface AdditionsVersion {
  readonly major: number;
  readonly minor: number;
  readonly build: number;
}

const BUILD_TAG = /^(RC|BETA|ALPHA)(\d{1,3})?$/;
const PUBLISHER_TAG = /^[A-Za-z0-9()[\]{}+\-.,]*$/;
/** Since 4.1.50 a name that makes no sense is refused. */
const STRICT_SINCE = [4, 1, 50] as const;

/** Whether the name begins with the version, as it has to. */
export function namesVersion(name: string, { major, minor, build }: AdditionsVersion): boolean {
  return name.startsWith(`${major}.${minor}.${build}`);
}

/** What follows the version in a name, and how much of it makes sense. */
export function tagsOf(name: string, version: AdditionsVersion): { tags: string; sound: string } {
  const tags = name.slice(`${version.major}.${version.minor}.${version.build}`.length);
  if (tags === '') return { tags, sound: tags };
  const [before, first = '', ...rest] = tags.split('_');
  if (before !== '' || tags[0] !== '_') return { tags, sound: '' };
  if (rest.length === 0) {
    return { tags, sound: isBuildTag(first) || PUBLISHER_TAG.test(first) ? tags : '' };
  }
  if (!isBuildTag(first)) return { tags, sound: '' };
  return { tags, sound: PUBLISHER_TAG.test(rest.join('_')) ? tags : `_${first}` };
}

export function isStrict({ major, minor, build }: AdditionsVersion): boolean {
  const [strictMajor, strictMinor, strictBuild] = STRICT_SINCE;
  if (major !== strictMajor) return major > strictMajor;
  return minor > strictMinor || (minor === strictMinor && build >= strictBuild);
}

function isBuildTag(tag: string): boolean {
  const [, , number = '0'] = BUILD_TAG.exec(tag) ?? [];
  return BUILD_TAG.test(tag) && Number(number) < 256;
}
