/**
 * What an error becomes for the user: a line on stderr (or a JSON document with --json) and an exit status.
 * The statuses are those of the table "Exit statuses" of the command-line contract, and stand here alone.
 */
import { escapeControls } from './view/escape.js';

/** Statuses that are not an error's own. */
export const STATUS = {
  done: 0,
  failed: 1,
  usage: 2,
  /** We failed before the command that was to be run started; as env(1) has it. */
  beforeCommand: 125,
  commandNotExecutable: 126,
  commandNotFound: 127,
  /** Plus the signal's number. */
  signal: 128,
  /** stdout was closed: 128 + SIGPIPE. */
  brokenPipe: 141,
} as const;

/** Error codes by exit status; a code that is not listed gives 1. */
export const STATUS_CODES: Readonly<Record<number, readonly string[]>> = {
  3: ['ENOENT'],
  4: ['EEXIST', 'EADDRINUSE', 'EBUSY'],
  5: ['EACCES', 'EPERM'],
  6: ['ECONNREFUSED', 'ECONNRESET', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT', 'EPIPE'],
  7: ['ENODEV', 'ENXIO', 'ENOTTY', 'EOPNOTSUPP', 'EAFNOSUPPORT'],
};

/** What the user got wrong, found before anything was sent. Status 2. */
export class UsageError extends Error {
  readonly code = 'EINVAL';
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.name = 'UsageError';
    this.hint = hint;
  }
}

/** A failure that is ours and not a layer's below, with the name of a system error. */
export class CodeError extends Error {
  readonly code: string;
  readonly hint: string | undefined;

  constructor(code: string, message: string, hint?: string) {
    super(message);
    this.name = 'CodeError';
    this.code = code;
    this.hint = hint;
  }
}

/** Gives an error a status other than that of its code. */
export class StatusError extends Error {
  readonly status: number;

  constructor(status: number, cause: unknown) {
    super('', { cause });
    this.name = 'StatusError';
    this.status = status;
  }
}

/** What the layers below throw: a name as `code`, and what may stand beside it. */
interface CodedError extends Error {
  code: string;
  path?: string | undefined;
  hint?: string | undefined;
}

/** Recognized by its shape, since a bundle may hold the class twice and Node's own errors have none. */
export function isCodedError(error: unknown): error is CodedError {
  return error instanceof Error && 'code' in error && /^E[A-Z0-9]+$/.test(String(error.code));
}

export function exitStatus(error: unknown): number {
  if (error instanceof StatusError) return error.status;
  if (error instanceof UsageError) return STATUS.usage;
  if (!isCodedError(error)) return STATUS.failed;
  for (const [status, codes] of Object.entries(STATUS_CODES)) {
    if (codes.includes(error.code)) return Number(status);
  }
  return STATUS.failed;
}

export interface ErrorReport {
  code: string;
  message: string;
  hint?: string | undefined;
  /** The kernel's own errno, or the status of a device, where the code is a translation of it. */
  cause?: string | undefined;
}

/** Errors of the system, statuses of VirtualBox, results of VMCI. */
const CAUSE = /^(E[A-Z0-9]+|V(ERR|WRN|INF|MCI)_[A-Z0-9_]+|rc -?\d+)$/;

export function reportOf(error: unknown): ErrorReport {
  if (error instanceof StatusError) return reportOf(error.cause);
  if (!isCodedError(error)) {
    return { code: 'EUNKNOWN', message: error instanceof Error ? error.message : String(error) };
  }
  const cause = causeOf(error.cause);
  return { code: error.code, message: messageOf(error), hint: error.hint, cause };
}

function causeOf(cause: unknown): string | undefined {
  if (!(cause instanceof Error && 'code' in cause)) return undefined;
  const code = String(cause.code);
  return CAUSE.test(code) ? code : undefined;
}

/** As it is written to stderr, with its newline. */
export function renderError(
  error: unknown,
  options: { context: string; json: boolean; stack?: boolean },
): string {
  const report = reportOf(error);
  if (options.json) return `${JSON.stringify({ error: report })}\n`;
  const context = ['vmmctl', options.context].filter(Boolean).join(': ');
  const cause = report.cause ? `, from ${report.cause}` : '';
  const code = report.code === 'EUNKNOWN' ? '' : ` (${report.code}${cause})`;
  const lines = [`${context}: ${escapeControls(report.message)}${code}`];
  if (report.hint) lines.push(`hint: ${escapeControls(report.hint)}`);
  const stack = options.stack && error instanceof Error ? `${error.stack}\n` : '';
  return `${lines.join('\n')}\n${stack}`;
}

/** Node writes its messages as `EACCES: permission denied, open '/path'`; the code stands elsewhere here. */
function messageOf(error: CodedError): string {
  const prefix = `${error.code}: `;
  const message = error.message.startsWith(prefix)
    ? error.message.slice(prefix.length)
    : error.message;
  if (error.path === undefined || message.includes(error.path)) return message;
  return `${error.path}: ${message}`;
}
