/** Better words for the errors of a call. */
import { type ErrorCode, SystemError } from '../abi/errno.js';

/** `[message, hint]` by the code of the error that they are for. */
export type Words = Partial<Record<ErrorCode, readonly [message: string, hint?: string]>>;

/** The same result; an error that has words is thrown with them, under the same code. */
export async function explain<T>(call: Promise<T>, words: Words): Promise<T> {
  try {
    return await call;
  } catch (error) {
    const code = codeOf(error);
    const found = code === undefined ? undefined : words[code];
    if (code === undefined || found === undefined) throw error;
    throw new SystemError(code, { message: found[0], hint: found[1] });
  }
}

/** The code of a system error; undefined for any other. */
export function codeOf(error: unknown): ErrorCode | undefined {
  return error instanceof SystemError ? error.code : undefined;
}

/** Whether an error is one of those system errors. */
export function isOneOf(error: unknown, codes: readonly ErrorCode[]): boolean {
  const code = codeOf(error);
  return code !== undefined && codes.includes(code);
}
