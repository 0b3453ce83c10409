/**
 * Tests that need a foreign tool or file. Where it is missing the test is skipped by name, with a
 * sentence that says why; in CI (the variable CI is set) it fails, since nobody reads what a
 * machine skipped.
 */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Test } from 'tap';

/** Whether a program is in PATH. When it is not, the test is over: return from it. */
export function requireTool(t: Test, tool: string): boolean {
  const directories = (process.env.PATH ?? '').split(delimiter).filter((name) => name !== '');
  if (directories.some((directory) => accessible(join(directory, tool), constants.X_OK))) {
    return true;
  }
  return missing(t, `This test runs ${tool}, which is not in PATH.`);
}

/** Whether a file can be read. When it can't, the test is over: return from it. */
export function requireFile(t: Test, path: string, whatFor: string): boolean {
  if (accessible(path, constants.R_OK)) return true;
  return missing(t, `This test needs ${path} (${whatFor}), which can't be read.`);
}

/** Ends a test that can't run here: skipped by name, or failed in CI. Always false. */
export function missing(t: Test, sentence: string): false {
  if (process.env.CI) t.fail(sentence);
  else t.plan(0, sentence);
  return false;
}

function accessible(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
